// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// The benchmarks here show that neither the time of a request nor the memory
// grows without a bound with the number of handlers, clients and keys. They have
// no network; heap-MB is what stays in memory.

func BenchmarkHandlers(b *testing.B) {
	for _, count := range []int{1, 100, 1000} {
		b.Run(strconv.Itoa(count), func(b *testing.B) {
			benchmarkScale(b, count, `"unlimited": true`, func(i int, _ *http.Request) int {
				return i % count
			})
		})
	}
}

// BenchmarkClients has more clients than are remembered in its last case.
func BenchmarkClients(b *testing.B) {
	for _, count := range []int{1, 1000, 100_000} {
		b.Run(strconv.Itoa(count), func(b *testing.B) {
			benchmarkScale(b, 1, `"rate_limits": [{"count": 1000000, "window": "1ms"}]`, func(i int, r *http.Request) int {
				client := i % count
				r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1234", client>>16, client>>8&0xff, client&0xff)
				return 0
			})
		})
	}
}

// BenchmarkKeys has more keys than are minted ahead for in its last two cases.
func BenchmarkKeys(b *testing.B) {
	for _, count := range []int{1, 100, 1000, 3000, 10_000} {
		b.Run(strconv.Itoa(count), func(b *testing.B) {
			benchmarkScale(b, 1, `"unlimited": true, "prefetch": 8`, func(i int, r *http.Request) int {
				r.Header.Set("X-Key", strconv.Itoa(i%count))
				return 0
			})
		})
	}
}

// benchmarkScale sends requests to handlers of one config. Choose makes of the
// i-th request what it shall be, and returns which handler gets it.
func benchmarkScale(b *testing.B, handlers int, options string, choose func(i int, r *http.Request) int) {
	b.Helper()
	before := heap()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: b.Context()})
	defer cancel()
	loaded := make([]*Handler, handlers)
	for i := range loaded {
		module, err := ctx.LoadModuleByID("http.handlers.xai_ephemeral_token", json.RawMessage(fmt.Sprintf(
			`{"api_key": "{http.request.header.X-Key}", %s}`, options)))
		if err != nil {
			b.Fatal(err)
		}
		loaded[i] = module.(*Handler)
		loaded[i].logger = zap.NewNop()
		callInstead(b, loaded[i], fixedUpstream{})
	}
	server := new(caddyhttp.Server)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/session", nil)
		r.Header.Set("X-Key", "a key")
		handler := loaded[choose(i, r)]
		if err := handler.ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, server), nil); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(heap()-before)/1e6, "heap-MB")
	runtime.KeepAlive(loaded)
}

// fixedUpstream answers every call alike, and remembers none.
type fixedUpstream struct{}

func (fixedUpstream) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(benchmarkToken))}, nil
}

// heap returns how much memory is in use, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC() // the first one frees only what pools have put aside
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc) //nolint:gosec // a machine with 8 EB is a bug
}

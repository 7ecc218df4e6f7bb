// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/stock"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/xai"
)

// BenchmarkHandler compares the plugin with what else could mint tokens: a bare
// net/http handler with a bare client, and Caddy's own reverse_proxy. All of them
// call a server on loopback, whose work counts as well, and none of them has the
// connection of a client. Static shows what Caddy takes for a request in any
// case.
func BenchmarkHandler(b *testing.B) {
	upstream, slow := benchmarkUpstream(b, 0), benchmarkUpstream(b, time.Hour)
	servers := benchmarkServers(b, map[string]string{
		"minted":        benchmarkDirective(upstream, ""),
		"prefetched":    benchmarkDirective(slow, "prefetch 1024"),
		"reverse_proxy": strings.ReplaceAll(benchmarkRecipe, "UPSTREAM", upstream),
		"static":        "respond /session `" + benchmarkToken + "`",
	})
	for _, contender := range []struct {
		name    string
		handler http.Handler
	}{
		{"net_http", bareMinter(upstream)},
		{"reverse_proxy", servers["reverse_proxy"]},
		{"minted", servers["minted"]},
		{"prefetched", stocked(b, servers["prefetched"])},
		{"static", servers["static"]},
	} {
		b.Run(contender.name+"/sequential", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				benchmarkRequest(b, contender.name, contender.handler)
			}
		})
		b.Run(contender.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					benchmarkRequest(b, contender.name, contender.handler)
				}
			})
		})
	}
}

const (
	benchmarkKey   = "xai-benchmark-key"
	benchmarkToken = `{"value":"xai-realtime-client-secret-BENCHMARKBENCHMARKBENCHMARK","expires_at":4000000000}`

	// benchmarkRecipe is the least that does the same without the plugin.
	benchmarkRecipe = `handle /session {
	rewrite /v1/realtime/client_secrets
	method POST
	request_body {
		set "{\"expires_after\":{\"seconds\":300}}"
	}
	reverse_proxy UPSTREAM {
		header_up Authorization "Bearer ` + benchmarkKey + `"
		header_up Content-Type application/json
	}
}`
)

func benchmarkDirective(upstream, option string) string {
	return `xai_ephemeral_token /session ` + benchmarkKey + ` {
	endpoint http://` + upstream + `/v1/realtime/client_secrets
	rate_limit off
	timeout 24h
	` + option + `
}`
}

// benchmarkUpstream stands in for xAI with as little work as possible.
func benchmarkUpstream(b *testing.B, latency time.Duration) (address string) {
	b.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if latency > 0 {
			select {
			case <-time.After(latency):
			case <-r.Context().Done():
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, benchmarkToken)
	}))
	b.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// benchmarkServers has Caddy serve each site on a socket of its own.
func benchmarkServers(b testing.TB, sites map[string]string) map[string]http.Handler {
	b.Helper()
	sockets := b.TempDir()
	var config bytes.Buffer
	config.WriteString("{\n\tadmin off\n\tpersist_config off\n\tlog {\n\t\toutput discard\n\t}\n" +
		"\tservers {\n\t\ttrusted_proxies static 10.0.0.0/8\n\t}\n}\n")
	for name, site := range sites {
		fmt.Fprintf(&config, "http://%s {\n\tbind unix/%s/%[1]s\n\t%[3]s\n}\n", name, sockets, site)
	}
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(config.Bytes(), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			b.Error(err)
		}
	})
	if err := caddy.Load(adapted, true); err != nil {
		b.Fatal(err)
	}
	app, err := caddy.ActiveContext().App("http")
	if err != nil {
		b.Fatal(err)
	}
	handlers := make(map[string]http.Handler)
	for _, server := range app.(*caddyhttp.App).Servers {
		handlers[filepath.Base(server.Listen[0])] = server
	}
	return handlers
}

func benchmarkRequest(b *testing.B, host string, handler http.Handler) {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+host+"/session", nil))
	if w.Code != http.StatusOK || w.Body.String() != benchmarkToken {
		b.Fatalf("got %d %s", w.Code, w.Body)
	}
}

// stocked fills the stock, without xAI, before it can be empty: what is measured
// is a request while the stock lasts. One that found it empty would fail.
func stocked(b *testing.B, server http.Handler) http.Handler {
	b.Helper()
	handler := handlersIn(server.(*caddyhttp.Server).Routes)[0]
	callInstead(b, handler, fixedUpstream{})
	minted, err := handler.client.Mint(b.Context(), benchmarkKey, "", 0)
	if err != nil {
		b.Fatal(err)
	}
	callInstead(b, handler, new(rawAnswer))
	handler.stock.Close()
	handler.stock = stock.NewKeeper(&stock.Config[*xai.Token]{
		Size:      maxPrefetch,
		Lifetime:  time.Hour,
		Mint:      func(context.Context, string) (*xai.Token, error) { return nil, errors.New("not needed") },
		Paused:    func(error, time.Duration) {},
		Kept:      metrics.prefetchedTokens,
		Discarded: metrics.discarded,
	})
	fill := func() {
		for range maxPrefetch {
			handler.stock.PutBack(benchmarkKey, minted)
		}
	}
	handler.stock.Replenish(benchmarkKey)
	fill()
	var served atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1)%(maxPrefetch/2) == 0 {
			fill()
		}
		server.ServeHTTP(w, r)
	})
}

// handlersIn returns the plugin's handlers in routes.
func handlersIn(routes caddyhttp.RouteList) []*Handler {
	var found []*Handler
	for i := range routes {
		for _, handler := range routes[i].Handlers {
			switch handler := handler.(type) {
			case *caddyhttp.Subroute:
				found = append(found, handlersIn(handler.Routes)...)
			case *Handler:
				found = append(found, handler)
			}
		}
	}
	return found
}

// bareMinter is how one would write it oneself.
func bareMinter(upstream string) http.Handler {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://"+upstream+"/v1/realtime/client_secrets",
			strings.NewReader(`{"expires_after":{"seconds":300}}`))
		if err != nil {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		req.Header.Set("Authorization", "Bearer "+benchmarkKey)
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})
}

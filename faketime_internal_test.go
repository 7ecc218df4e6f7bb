// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// The tests here run in fake time, with the handler as Caddy loads it and the
// sandbox as xAI. An answer that took no time was prefetched.

const (
	latency  = 150 * time.Millisecond
	lifetime = 5 * time.Minute
)

// memoryUpstream is the sandbox without a network, which fake time would not
// wait for.
type memoryUpstream struct {
	*sandbox.Server

	mu      sync.Mutex
	panics  bool              // whether it is a transport module with a bug
	fault   sandbox.Fault     // what every call meets
	answers map[string]string // and the keys they were given for
	calls   int
	open    int
	most    int // calls at the same time
}

func (u *memoryUpstream) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	u.mu.Lock()
	u.calls++
	u.open++
	u.most = max(u.most, u.open)
	if u.fault != nil {
		u.Script(u.fault)
	}
	panics := u.panics
	u.mu.Unlock()
	if panics {
		panic("cannot send " + r.Header.Get("Authorization"))
	}
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.open--
		if recover() != nil { // as a server does when its handler aborts
			resp, err = nil, errors.New("the connection broke")
		}
	}()
	w := httptest.NewRecorder()
	u.ServeHTTP(w, r)
	u.answered(w.Body.String(), r)
	return w.Result(), nil
}

func (u *memoryUpstream) answered(body string, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answers[body] = r.Header.Get("Authorization")
}

func (u *memoryUpstream) keyOf(body string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.answers[body]
}

// called returns how many calls there were, with those that are under way.
func (u *memoryUpstream) called() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.calls
}

// mostAtOnce returns how many calls there were at the same time since it was last
// asked.
func (u *memoryUpstream) mostAtOnce() int {
	synctest.Wait()
	u.mu.Lock()
	defer u.mu.Unlock()
	most := u.most
	u.most = u.open
	return most
}

// failWith has every call fail from now on; nil ends that.
func (u *memoryUpstream) failWith(fault sandbox.Fault) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fault = fault
}

// site is a loaded handler, in a bubble of fake time.
type site struct {
	t       *testing.T
	handler *Handler
	xai     *memoryUpstream
	unload  context.CancelFunc
	logs    *observer.ObservedLogs
	before  map[string]int // what the metrics had come to before the test

	mu        sync.Mutex
	handedOut map[string]bool
}

// inFakeTime runs a test with a handler that prefetches. At the end all tokens
// must be accounted for, and no goroutine may be left.
func inFakeTime(t *testing.T, prefetch int, test func(s *site)) {
	t.Helper()
	inFakeTimeFor(t, prefetch, lifetime, test)
}

// inFakeTimeFor is inFakeTime for tokens of another lifetime.
func inFakeTimeFor(t *testing.T, prefetch int, expiresAfter time.Duration, test func(s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		defer cancel()
		module, err := ctx.LoadModuleByID("http.handlers.xai_ephemeral_token", json.RawMessage(fmt.Sprintf(
			`{"api_key": "{http.request.header.X-Key}", "unlimited": true, "prefetch": %d, "expires_after": %d}`,
			prefetch, expiresAfter)))
		if err != nil {
			t.Fatal(err)
		}
		s := &site{
			t: t, handler: module.(*Handler), unload: cancel, handedOut: make(map[string]bool),
			xai: &memoryUpstream{Server: &sandbox.Server{Latency: latency}, answers: make(map[string]string)},
		}
		core, logs := observer.New(zap.DebugLevel)
		s.logs, s.handler.logger = logs, zap.New(core)
		callInstead(t, s.handler, s.xai)
		s.before = counters(t)
		test(s)
		cancel()
		after := counters(t)
		grown := func(name string) int { return after[name] - s.before[name] }
		if n := grown("issued"); n != len(s.handedOut) {
			t.Errorf("%d tokens were handed out, and %d counted", len(s.handedOut), n)
		}
		if made, gone := grown("upstream_200"), grown("issued")+grown("discarded"); made != gone {
			t.Errorf("xAI minted %d tokens, and %d were handed out or discarded", made, gone)
		}
		if n := grown("prefetched_tokens"); n != 0 {
			t.Errorf("%d tokens are still said to be kept", n)
		}
	})
}

// callInstead has a loaded handler make its calls through another transport.
func callInstead(t testing.TB, h *Handler, transport http.RoundTripper) {
	t.Helper()
	endpoint, err := h.expandEndpoint()
	if err != nil {
		t.Fatal(err)
	}
	h.stock.Close()
	if err := h.connect(endpoint, transport); err != nil {
		t.Fatal(err)
	}
}

// counters returns what the metrics of this process have come to.
func counters(t *testing.T) map[string]int {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := metrics.register(registry); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]int)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			value := int(metric.GetCounter().GetValue() + metric.GetGauge().GetValue())
			name, labels := family.GetName()[len("caddy_xai_ephemeral_token_"):], metric.GetLabel()
			switch name {
			case "issued_total":
				counts["issued"] += value
				counts["issued_"+labels[0].GetValue()] += value
			case "discarded_total":
				counts["discarded"] += value
				counts["discarded_"+labels[0].GetValue()] += value
			case "upstream_requests_total":
				counts["upstream_"+labels[0].GetValue()] += value
			case "prefetched_tokens":
				counts["prefetched_tokens"] += value
			}
		}
	}
	return counts
}

// ask asks for a token, and returns the status and how long it took.
func (s *site) ask(ctx context.Context, key string) (status int, took time.Duration) {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/session", nil)
	r.Header.Set("X-Key", key)
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
	start := time.Now()
	err := s.handler.ServeHTTP(w, r, nil)
	took = time.Since(start)
	if failed, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
		return failed.StatusCode, took
	}
	body := w.Body.String()
	if s.xai.keyOf(body) != "Bearer "+key {
		s.t.Error("a token was handed out that xAI did not mint, or for another key")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handedOut[body] {
		s.t.Error("a token was handed out twice")
	}
	s.handedOut[body] = true
	return w.Code, took
}

// want asks for a token and checks what comes of it.
func (s *site) want(key string, status int, took time.Duration) {
	s.t.Helper()
	if gotStatus, gotTook := s.ask(s.t.Context(), key); gotStatus != status || gotTook != took {
		s.t.Errorf("got %d after %s, want %d after %s", gotStatus, gotTook, status, took)
	}
}

// wantCalls checks how many calls to xAI there were so far.
func (s *site) wantCalls(want int) {
	s.t.Helper()
	synctest.Wait()
	if got := s.xai.called(); got != want {
		s.t.Errorf("xAI was called %d times, want %d", got, want)
	}
}

// kept returns how many tokens wait for requests.
func (s *site) kept() int {
	return counters(s.t)["prefetched_tokens"] - s.before["prefetched_tokens"]
}

// fill has a first request fill the stock for the key.
func (s *site) fill(key string) {
	s.t.Helper()
	before := s.kept()
	s.want(key, 200, latency)
	time.Sleep(latency)
	synctest.Wait()
	if n := s.kept() - before; n != s.handler.Prefetch {
		s.t.Fatalf("%d tokens are kept, want %d", n, s.handler.Prefetch)
	}
}

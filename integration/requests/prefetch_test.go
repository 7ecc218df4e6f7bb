// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package requests

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

func TestPrefetchedToken(t *testing.T) {
	const (
		minted     = `caddy_xai_ephemeral_token_issued_total{source="minted"}`
		prefetched = `caddy_xai_ephemeral_token_issued_total{source="prefetched"}`
	)
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off", "prefetch 2"))
	before := s.Metrics()
	const raw = "{ \"value\" : \"xai-realtime-client-secret-b\",\n\"expires_at\": 4000000000 }\n"
	up.Script(sandbox.Delay(0), sandbox.Answer(http.StatusOK, raw), sandbox.Answer(http.StatusOK, raw))
	caddytest.DecodeToken(t, s.Post())
	s.WaitPrefetched(2)
	up.Script(sandbox.Delay(time.Hour), sandbox.Delay(time.Hour)) // the refills of what is taken now
	start := time.Now()
	got := s.Post()

	t.Run("is answered like any other, at once", func(t *testing.T) {
		if got.StatusCode != http.StatusOK || got.Body != raw || time.Since(start) > 5*time.Second {
			t.Errorf("got %d %q after %s", got.StatusCode, got.Body, time.Since(start))
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		} {
			if value := got.Header.Get(name); value != want {
				t.Errorf("%s is %q, want %q", name, value, want)
			}
		}
	})
	t.Run("is logged and counted as prefetched", func(t *testing.T) {
		entries := s.Logged()
		if last := entries[len(entries)-1]; last["prefetched"] != true || last["token_id"] != caddytest.TokenID("xai-realtime-client-secret-b") {
			t.Errorf("logged %v", last)
		}
		after := s.Metrics()
		if m, p := after[minted]-before[minted], after[prefetched]-before[prefetched]; m != 1 || p != 1 {
			t.Errorf("counted %v as minted and %v as prefetched, want 1 and 1", m, p)
		}
	})
	t.Run("has a request id of its own", func(t *testing.T) {
		ids := make(map[string]bool)
		for _, request := range up.Requests() {
			ids[request.Header.Get("X-Client-Request-Id")] = true
		}
		if n := len(up.Requests()); len(ids) != n || n < 3 {
			t.Errorf("%d calls have %d request ids", n, len(ids))
		}
	})
	t.Run("costs the client its limit", func(t *testing.T) {
		s.Reload(caddytest.Site("rate_limit 2 1h", "prefetch 2"))
		for _, want := range []int{200, 200, 429, 429} {
			if got := s.Post(); got.StatusCode != want {
				t.Errorf("got %d, want %d", got.StatusCode, want)
			}
			s.WaitPrefetched(2)
		}
	})
}

func TestPrefetchedTokenWithPassThru(t *testing.T) {
	s := caddytest.Start(t, caddytest.NewUpstream(t), `
http://SITE {
	xai_ephemeral_token /session `+caddytest.Key+` {
		endpoint UPSTREAM
		pass_thru
		prefetch 1
	}
	respond /session "{http.xai_ephemeral_token.id} {http.xai_ephemeral_token.value}"
}
`)
	for range 3 {
		got := s.Post()
		id, value, _ := strings.Cut(got.Body, " ")
		if got.StatusCode != http.StatusOK || value == "" || id != caddytest.TokenID(value) {
			t.Fatalf("got %d %s", got.StatusCode, got.Body)
		}
		s.WaitPrefetched(1)
	}
	if !strings.Contains(s.ReadFile("caddy.log"), `"prefetched":true`) {
		t.Error("no token was prefetched")
	}
}

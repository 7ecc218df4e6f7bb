// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// prefetchSite keeps two tokens for whoever asks.
var prefetchSite = strings.Replace(simpleSite, "rate_limit off", "rate_limit off\n\t\tprefetch 2", 1)

// prefetched returns how many tokens wait for requests.
func (s *caddyServer) prefetched() int {
	s.t.Helper()
	return int(s.metricValues()["caddy_xai_ephemeral_token_prefetched_tokens"])
}

func (s *caddyServer) waitPrefetched(want int) {
	s.t.Helper()
	eventually(s.t, "the stock is full", func() bool { return s.prefetched() == want })
}

func TestPrefetchedToken(t *testing.T) {
	const (
		minted     = `caddy_xai_ephemeral_token_issued_total{source="minted"}`
		prefetched = `caddy_xai_ephemeral_token_issued_total{source="prefetched"}`
	)
	up := newUpstream(t)
	s := startCaddy(t, up, prefetchSite)
	before := s.metricValues()
	const raw = "{ \"value\" : \"xai-realtime-client-secret-b\",\n\"expires_at\": 4000000000 }\n"
	up.Script(sandbox.Delay(0), sandbox.Answer(http.StatusOK, raw), sandbox.Answer(http.StatusOK, raw))
	decodeToken(t, s.post())
	s.waitPrefetched(2)
	up.Script(sandbox.Delay(time.Hour), sandbox.Delay(time.Hour)) // the refills of what is taken now
	start := time.Now()
	got := s.post()

	t.Run("is answered like any other, at once", func(t *testing.T) {
		if got.StatusCode != http.StatusOK || got.body != raw || time.Since(start) > 5*time.Second {
			t.Errorf("got %d %q after %s", got.StatusCode, got.body, time.Since(start))
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
		entries := s.logged()
		if last := entries[len(entries)-1]; last["prefetched"] != true || last["token_id"] != tokenID("xai-realtime-client-secret-b") {
			t.Errorf("logged %v", last)
		}
		after := s.metricValues()
		if m, p := after[minted]-before[minted], after[prefetched]-before[prefetched]; m != 1 || p != 1 {
			t.Errorf("counted %v as minted and %v as prefetched, want 1 and 1", m, p)
		}
	})
	t.Run("has a request id of its own", func(t *testing.T) {
		ids := make(map[string]bool)
		for _, request := range up.requests() {
			ids[request.Header.Get("X-Client-Request-Id")] = true
		}
		if n := len(up.requests()); len(ids) != n || n < 3 {
			t.Errorf("%d calls have %d request ids", n, len(ids))
		}
	})
	t.Run("costs the client its limit", func(t *testing.T) {
		if err := s.load(strings.Replace(prefetchSite, "rate_limit off", "rate_limit 2 1h", 1)); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{200, 200, 429, 429} {
			if got := s.post(); got.StatusCode != want {
				t.Errorf("got %d, want %d", got.StatusCode, want)
			}
			s.waitPrefetched(2)
		}
	})
}

func TestPrefetchedTokenWithPassThru(t *testing.T) {
	s := startCaddy(t, newUpstream(t), strings.Replace(passThruPage, "pass_thru", "pass_thru\n\t\tprefetch 1", 1))
	for range 3 {
		got := s.post()
		_, value, _ := strings.Cut(got.body, `"value": "`)
		value, _, _ = strings.Cut(value, `"`)
		if got.StatusCode != http.StatusOK || !strings.Contains(got.body, `"id": "`+tokenID(value)+`"`) {
			t.Fatalf("got %d %s", got.StatusCode, got.body)
		}
		s.waitPrefetched(1)
	}
	if !strings.Contains(s.readFile("caddy.log"), `"prefetched":true`) {
		t.Error("no token was prefetched")
	}
}

// TestReloadsWithStock throws a full stock away a hundred times. TestMain looks
// for goroutines that stayed behind.
func TestReloadsWithStock(t *testing.T) {
	const reloads = 100
	site := func(seconds int) string {
		return strings.Replace(siteWithLifetime(seconds), "rate_limit off", "rate_limit off\n\t\tprefetch 2", 1)
	}
	up, open := newCountedUpstream(t)
	s := startCaddy(t, up, site(100))
	before := s.metricValues()
	for i := range reloads {
		s.postToConfig(up, 100+i)
		s.waitPrefetched(2)
		s.reload(site(101 + i))
	}
	after := s.metricValues()
	grown := func(series string) float64 {
		series = "caddy_xai_ephemeral_token_" + series
		return after[series] - before[series]
	}
	if n := s.prefetched(); n != 0 {
		t.Errorf("%d tokens are kept after a reload", n)
	}
	if n := grown(`discarded_total{reason="unloaded"}`); n != 2*reloads {
		t.Errorf("%v tokens were thrown away, want %d", n, 2*reloads)
	}
	accounted := grown(`issued_total{source="minted"}`) + grown(`issued_total{source="prefetched"}`) + 2*reloads
	if n := float64(len(up.requests())); n != accounted {
		t.Errorf("xAI minted %v tokens, and %v were handed out or thrown away", n, accounted)
	}
	eventually(t, "no connection is open", func() bool { return open.count() == 0 })
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package reloads

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// siteWithLifetime tells configs apart by the lifetime, in seconds, that they
// ask for.
func siteWithLifetime(seconds int) string {
	return caddytest.Site("rate_limit off", fmt.Sprintf("expires_after %ds", seconds))
}

// lifetimes returns how often each lifetime was asked for.
func lifetimes(up *caddytest.Upstream) map[string]int {
	counts := make(map[string]int)
	for _, request := range up.Requests() {
		seconds := strings.TrimPrefix(request.Body, `{"expires_after":{"seconds":`)
		counts[strings.TrimSuffix(seconds, "}}")]++
	}
	return counts
}

// postToConfig asks until the config of siteWithLifetime answers. The server of
// the one before may take a connection yet.
func postToConfig(t *testing.T, s *caddytest.Server, up *caddytest.Upstream, seconds int) {
	t.Helper()
	caddytest.Eventually(t, "the new config answers", func() bool {
		caddytest.DecodeToken(t, s.Post())
		return lifetimes(up)[strconv.Itoa(seconds)] > 0
	})
}

func TestReloadUnderLoad(t *testing.T) {
	const clients, reloads = 8, 30
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, siteWithLifetime(100))

	var handedOut caddytest.Tokens
	var broken, wrong atomic.Int64
	ask := func() {
		for range 5 {
			got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session")
			if err != nil {
				broken.Add(1)
				continue
			}
			if err := handedOut.Add(got); err != nil && wrong.Add(1) <= 10 {
				t.Error(err)
			}
			return
		}
		t.Error("five connections in a row broke")
	}
	stop := caddytest.KeepAsking(clients, ask)
	for i := range reloads {
		// The config serves before it is replaced.
		before := handedOut.Count()
		caddytest.Eventually(t, "the config has served", func() bool { return handedOut.Count() >= before+6*clients })
		if err := s.Load(siteWithLifetime(101 + i)); err != nil {
			t.Error(err)
			break
		}
	}
	stop()

	total := handedOut.Count()
	t.Logf("%d tokens, %d broken connections", total, broken.Load())
	t.Run("each config minted with its own options", func(t *testing.T) {
		lifetimes := lifetimes(up)
		for seconds := 100; seconds < 100+reloads; seconds++ {
			if lifetimes[strconv.Itoa(seconds)] == 0 {
				t.Errorf("nothing was minted for %ds", seconds)
			}
		}
		if len(lifetimes) > reloads+1 {
			t.Errorf("minted for the lifetimes %v", lifetimes)
		}
	})
	t.Run("few connections break", func(t *testing.T) {
		// Caddy hangs up on idle connections that a client may be about to use: at
		// most one for each client and reload. A bare respond loses more.
		if n := broken.Load(); n > reloads*clients {
			t.Errorf("%d connections broke in %d reloads with %d requests", n, reloads, total)
		}
	})
	t.Run("no connection to xAI outlives its config", func(t *testing.T) {
		caddytest.Eventually(t, "no more connections are open than there are clients", func() bool { return up.OpenConnections() <= clients })
		s.Reload(siteWithLifetime(200))
		caddytest.Eventually(t, "no connection is open", func() bool { return up.OpenConnections() == 0 })
		postToConfig(t, s, up, 200)
		caddytest.Eventually(t, "one connection is open", func() bool { return up.OpenConnections() == 1 })
	})
}

// TestReloadDuringRequests replaces the config while requests of it wait for xAI.
func TestReloadDuringRequests(t *testing.T) {
	const inFlight = 6
	tests := []struct {
		name  string
		fault sandbox.Fault // what the call meets when the old config is gone
		calls int
	}{
		{"that get their token", nil, inFlight},
		// Another attempt opens connections of a transport that was cleaned up.
		{"that need another attempt", sandbox.Status(http.StatusServiceUnavailable), 2 * inFlight},
		{"that need another connection", sandbox.Break(), 2 * inFlight},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			up := caddytest.NewUpstream(t)
			s := caddytest.Start(t, up, siteWithLifetime(100))
			release := make(chan struct{})
			held := func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
				select {
				case <-release:
				case <-r.Context().Done():
				}
				if test.fault != nil {
					test.fault(w, r, mint)
					return
				}
				mint(w, r)
			}
			var handedOut caddytest.Tokens
			var group sync.WaitGroup
			for range inFlight {
				up.Script(held)
				group.Go(func() {
					got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session")
					if err == nil {
						err = handedOut.Add(got)
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			caddytest.Eventually(t, "all calls reached xAI", func() bool { return len(up.Requests()) == inFlight })
			for i := range 3 {
				if err := s.Load(siteWithLifetime(200 + i)); err != nil {
					t.Error(err)
				}
			}
			close(release)
			group.Wait()
			if n := lifetimes(up)["100"]; n != test.calls || len(up.Requests()) != test.calls {
				t.Errorf("the old config made %d calls, want %d", n, test.calls)
			}
			caddytest.Eventually(t, "no connection is open", func() bool { return up.OpenConnections() == 0 })
			postToConfig(t, s, up, 202)
		})
	}
}

// TestStopDuringRequest has Caddy stop serving the site while a request of it
// waits for xAI.
func TestStopDuringRequest(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off"))
	release := make(chan struct{})
	up.Script(func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
		<-release
		mint(w, r)
	})
	answered := make(chan error, 1)
	go func() {
		var handedOut caddytest.Tokens
		got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session")
		if err == nil {
			err = handedOut.Add(got)
		}
		answered <- err
	}()
	caddytest.Eventually(t, "the call reached xAI", func() bool { return len(up.Requests()) == 1 })
	if err := s.Load("http://SITE2 {\n\trespond ok\n}\n"); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	caddytest.Eventually(t, "no connection is open", func() bool { return up.OpenConnections() == 0 })
}

func TestMetricsSurviveReloads(t *testing.T) {
	const prefix = "caddy_xai_ephemeral_token_"
	const site = `
	xai_ephemeral_token /again ` + caddytest.Key + ` {
		endpoint UPSTREAM
		rate_limit off
		retries 0
	}
	xai_ephemeral_token /session ` + caddytest.Key + ` {
		endpoint UPSTREAM
		rate_limit off
		retries 0
	}
`
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, "http://SITE {"+site+"}\n")
	counts := func() map[string]float64 {
		counts, values := make(map[string]float64), s.Metrics()
		for _, series := range []string{
			`issued_total{source="minted"}`, `errors_total{reason="upstream_refused"}`,
			`upstream_requests_total{code="200"}`, `upstream_requests_total{code="404"}`, "upstream_duration_seconds_count",
		} {
			counts[series] = values[prefix+series]
		}
		return counts
	}
	grow := func() {
		t.Helper()
		caddytest.DecodeToken(t, s.Post())
		up.Script(sandbox.Status(http.StatusNotFound)) // which is not remembered
		if got := s.Post(); got.StatusCode != http.StatusBadGateway {
			t.Errorf("got %d, want 502", got.StatusCode)
		}
	}
	check := func(when string, start map[string]float64, times float64) {
		t.Helper()
		for series, value := range counts() {
			want := start[series] + times
			if series == "upstream_duration_seconds_count" {
				want += times // both the good and the bad call
			}
			if value != want {
				t.Errorf("%s %s is %v, want %v", when, series, value, want)
			}
		}
	}

	start := counts()
	grow()
	check("before the reload", start, 1)
	s.Reload("http://SITE {" + site + "\n}\nhttp://SITE2 {" + site + "}\n")
	check("after the reload", start, 1)
	grow()
	check("after the reload and more requests", start, 2)
	if err := s.Load("http://SITE {\n\txai_ephemeral_token {env.XAI_UNSET_KEY}\n}\n"); err == nil {
		t.Error("a config without a key was loaded")
	}
	grow()
	// Until the next load the admin API shows the registry of the failed config,
	// in which nothing of http is registered.
	s.Reload("http://SITE {" + site + "}\n")
	check("after a reload that failed", start, 3)
	s.Reload("http://SITE2 {\n\trespond ok\n}\n")
	s.Reload("http://SITE {" + site + "}\n")
	check("after a config without the handler", start, 3)
}

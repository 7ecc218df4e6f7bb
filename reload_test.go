// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// connections counts the connections that are open at a server.
type connections struct {
	mu     sync.Mutex
	open   map[net.Conn]bool
	opened int
}

func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open[conn] = true
		c.opened++
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
	}
}

func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// newCountedUpstream is an upstream that knows how many connections it has.
func newCountedUpstream(t *testing.T) (*upstream, *connections) {
	t.Helper()
	counted := &connections{open: make(map[net.Conn]bool)}
	u := &upstream{Server: &sandbox.Server{APIKey: testKey}}
	u.server = httptest.NewUnstartedServer(u)
	u.server.Config.ConnState = counted.changed
	u.server.Start()
	t.Cleanup(u.server.Close)
	return u, counted
}

// siteWithLifetime tells configs apart by the lifetime, in seconds, that they
// ask for.
func siteWithLifetime(seconds int) string {
	return strings.Replace(simpleSite, "rate_limit off", fmt.Sprintf("rate_limit off\n\t\texpires_after %ds", seconds), 1)
}

// lifetimes returns how often each lifetime was asked for.
func (u *upstream) lifetimes() map[string]int {
	counts := make(map[string]int)
	for _, request := range u.requests() {
		seconds := strings.TrimPrefix(request.body, `{"expires_after":{"seconds":`)
		counts[strings.TrimSuffix(seconds, "}}")]++
	}
	return counts
}

// reload replaces the running config, and hangs up first: Caddy closes the
// connections of the old config, which a request may notice too late.
func (s *caddyServer) reload(config string) {
	s.t.Helper()
	s.client.CloseIdleConnections()
	if err := s.load(config); err != nil {
		s.t.Fatal(err)
	}
}

// postPastReload is post for the time after a reload. Caddy itself loses a few
// new connections then, which is tried again; an answer is final.
func (s *caddyServer) postPastReload() answer {
	s.t.Helper()
	var got answer
	eventually(s.t, "there is an answer", func() bool {
		var err error
		got, err = s.try(s.t.Context(), http.MethodPost, s.url+"/session")
		return err == nil
	})
	return got
}

// postToConfig asks until the config of siteWithLifetime answers. The server of
// the one before may take a connection yet.
func (s *caddyServer) postToConfig(up *upstream, seconds int) {
	s.t.Helper()
	eventually(s.t, "the new config answers", func() bool {
		decodeToken(s.t, s.postPastReload())
		return up.lifetimes()[strconv.Itoa(seconds)] > 0
	})
}

// keepAsking has clients ask one time after the other, all at once, until the
// function that it returns is called, which waits for them.
func keepAsking(clients int, ask func()) (stop func()) {
	stopped := make(chan struct{})
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for {
				select {
				case <-stopped:
					return
				default:
					ask()
				}
			}
		})
	}
	return func() {
		close(stopped)
		group.Wait()
	}
}

func TestReloadUnderLoad(t *testing.T) {
	const clients, reloads = 8, 30
	up, open := newCountedUpstream(t)
	s := startCaddy(t, up, siteWithLifetime(100))

	var handedOut tokens
	var broken, wrong atomic.Int64
	ask := func() {
		for range 5 {
			got, err := s.try(t.Context(), http.MethodPost, s.url+"/session")
			if err != nil {
				broken.Add(1)
				continue
			}
			if err := handedOut.add(got); err != nil && wrong.Add(1) <= 10 {
				t.Error(err)
			}
			return
		}
		t.Error("five connections in a row broke")
	}
	stop := keepAsking(clients, ask)
	for i := range reloads {
		// The config serves before it is replaced.
		before := handedOut.count()
		eventually(t, "the config has served", func() bool { return handedOut.count() >= before+6*clients })
		if err := s.load(siteWithLifetime(101 + i)); err != nil {
			t.Error(err)
			break
		}
	}
	stop()

	total := handedOut.count()
	t.Logf("%d tokens, %d broken connections", total, broken.Load())
	t.Run("each config minted with its own options", func(t *testing.T) {
		lifetimes := up.lifetimes()
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
		eventually(t, "no more connections are open than there are clients", func() bool { return open.count() <= clients })
		s.reload(siteWithLifetime(200))
		eventually(t, "no connection is open", func() bool { return open.count() == 0 })
		s.postToConfig(up, 200)
		eventually(t, "one connection is open", func() bool { return open.count() == 1 })
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
			up, open := newCountedUpstream(t)
			s := startCaddy(t, up, siteWithLifetime(100))
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
			var handedOut tokens
			var group sync.WaitGroup
			for range inFlight {
				up.Script(held)
				group.Go(func() {
					got, err := s.try(t.Context(), http.MethodPost, s.url+"/session")
					if err == nil {
						err = handedOut.add(got)
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			eventually(t, "all calls reached xAI", func() bool { return len(up.requests()) == inFlight })
			for i := range 3 {
				if err := s.load(siteWithLifetime(200 + i)); err != nil {
					t.Error(err)
				}
			}
			close(release)
			group.Wait()
			if n := up.lifetimes()["100"]; n != test.calls || len(up.requests()) != test.calls {
				t.Errorf("the old config made %d calls, want %d", n, test.calls)
			}
			eventually(t, "no connection is open", func() bool { return open.count() == 0 })
			s.postToConfig(up, 202)
		})
	}
}

// TestStopDuringRequest has Caddy stop serving the site while a request of it
// waits for xAI.
func TestStopDuringRequest(t *testing.T) {
	up, open := newCountedUpstream(t)
	s := startCaddy(t, up, simpleSite)
	release := make(chan struct{})
	up.Script(func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
		<-release
		mint(w, r)
	})
	answered := make(chan error, 1)
	go func() {
		var handedOut tokens
		got, err := s.try(t.Context(), http.MethodPost, s.url+"/session")
		if err == nil {
			err = handedOut.add(got)
		}
		answered <- err
	}()
	eventually(t, "the call reached xAI", func() bool { return len(up.requests()) == 1 })
	if err := s.load("http://SITE2 {\n\trespond ok\n}\n"); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	eventually(t, "no connection is open", func() bool { return open.count() == 0 })
}

// sample returns the value of a metric, 0 where it is absent.
func (s *caddyServer) sample(series string) float64 {
	s.t.Helper()
	for line := range strings.Lines(s.do(http.MethodGet, s.admin+"/metrics").body) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return number
		}
	}
	return 0
}

func TestMetricsSurviveReloads(t *testing.T) {
	const prefix = "caddy_xai_ephemeral_token_"
	const site = `
	xai_ephemeral_token /again ` + testKey + ` {
		endpoint UPSTREAM
		rate_limit off
		retries 0
	}
	xai_ephemeral_token /session ` + testKey + ` {
		endpoint UPSTREAM
		rate_limit off
		retries 0
	}
`
	up := newUpstream(t)
	s := startCaddy(t, up, "http://SITE {"+site+"}\n")
	counts := func() map[string]float64 {
		counts := make(map[string]float64)
		for _, series := range []string{
			`issued_total{source="minted"}`, `errors_total{reason="upstream_auth"}`,
			`upstream_requests_total{code="200"}`, `upstream_requests_total{code="401"}`, "upstream_duration_seconds_count",
		} {
			counts[series] = s.sample(prefix + series)
		}
		return counts
	}
	grow := func() {
		t.Helper()
		decodeToken(t, s.postPastReload())
		up.Script(sandbox.Status(http.StatusUnauthorized))
		if got := s.postPastReload(); got.StatusCode != http.StatusBadGateway {
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
	s.reload("http://SITE {" + site + "\n}\nhttp://SITE2 {" + site + "}\n")
	check("after the reload", start, 1)
	grow()
	check("after the reload and more requests", start, 2)
	if err := s.load("http://SITE {\n\txai_ephemeral_token {env.XAI_UNSET_KEY}\n}\n"); err == nil {
		t.Error("a config without a key was loaded")
	}
	grow()
	// Until the next load the admin API shows the registry of the failed config,
	// in which nothing of http is registered.
	s.reload("http://SITE {" + site + "}\n")
	check("after a reload that failed", start, 3)
	s.reload("http://SITE2 {\n\trespond ok\n}\n")
	s.reload("http://SITE {" + site + "}\n")
	check("after a config without the handler", start, 3)
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
)

func init() { caddy.RegisterModule(deadStore{}) }

// deadStore is a limit store that never answers.
type deadStore struct{}

func (deadStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.xai_ephemeral_token.limit_store.dead",
		New: func() caddy.Module { return new(deadStore) },
	}
}

func (deadStore) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

func (deadStore) Take(context.Context, string, []limit.Claim) (limit.Taken, error) {
	return nil, errors.New("nobody answers")
}

// site is a Caddy with the example's site, in front of the sandbox, and another one
// whose limit store is dead.
type site struct {
	*caddytest.Server

	t       *testing.T
	up      *caddytest.Upstream
	clients int

	// pace is waited for before each request, if it is not nil.
	pace <-chan time.Time
}

func startSite(t *testing.T) *site {
	t.Helper()
	up := caddytest.NewUpstream(t)
	t.Setenv("XAI_API_KEY", caddytest.Key)
	t.Setenv("XAI_URL", up.URL)
	s := &site{t: t, up: up}
	s.Server = caddytest.StartBy(t, up, func(server *caddytest.Server) error {
		s.Server = server
		t.Setenv("SITE_ADDRESS", server.Expand("http://SITE"))
		return s.load()
	})
	return s
}

func (s *site) load() error {
	s.t.Helper()
	return s.LoadVerbatim(caddytest.ReadExample(s.t, "monitoring", "Caddyfile") + s.Expand(`
http://SITE2 {
	xai_ephemeral_token /session {
		limit_store dead
	}
}
`))
}

// newClient returns the header of a client that was not there before.
func (s *site) newClient() []string {
	s.clients++
	return caddytest.Forwarded(fmt.Sprintf("198.18.%d.%d", s.clients/256, s.clients%256))
}

// ask has one client ask several times, and wants the same answer each time.
func (s *site) ask(times, want int, client []string, header ...string) {
	s.t.Helper()
	for range times {
		if s.pace != nil {
			<-s.pace
		}
		if got := s.Post(append(client, header...)...); got.StatusCode != want {
			s.t.Fatalf("got %d, want %d", got.StatusCode, want)
		}
	}
}

// askAll has clients ask once each.
func (s *site) askAll(clients, want int) {
	s.t.Helper()
	for range clients {
		s.ask(1, want, s.newClient())
	}
}

// withKey asks with one of the keys for which the sandbox misbehaves.
func (s *site) withKey(key string, ask func()) {
	s.t.Helper()
	s.t.Setenv("XAI_API_KEY", key)
	ask()
	s.t.Setenv("XAI_API_KEY", caddytest.Key)
}

// everything has happen whatever can happen to requests, each of it as often as it takes
// for an alert.
func (s *site) everything() {
	s.t.Helper()
	s.ask(1, http.StatusOK, s.newClient())
	s.WaitPrefetched(8)
	s.ask(4, http.StatusOK, s.newClient())
	s.WaitPrefetched(8)
	if err := s.load(); err != nil { // which throws the stock away
		s.t.Fatal(err)
	}

	s.askAll(285, http.StatusOK)
	stranger := s.newClient()
	for range 20 {
		s.ask(20, http.StatusForbidden, stranger, "Origin", "https://elsewhere.example.com")
		s.askAll(10, http.StatusOK)
	}

	greedy := s.newClient()
	s.ask(10, http.StatusOK, greedy)
	s.ask(2, http.StatusTooManyRequests, greedy)
	if got := s.Do(http.MethodGet, s.URL+"/session"); got.StatusCode != http.StatusMethodNotAllowed {
		s.t.Fatalf("got %d, want 405", got.StatusCode)
	}
	if got := s.Do(http.MethodPost, s.URL2+"/session"); got.StatusCode != http.StatusServiceUnavailable {
		s.t.Fatalf("got %d, want 503", got.StatusCode)
	}

	s.withKey("", func() { s.askAll(1, http.StatusInternalServerError) })
	for _, status := range []int{400, 401, 403, 404, 500, 503} {
		s.withKey(fmt.Sprintf("xai-sandbox-%d", status), func() { s.askAll(1, http.StatusBadGateway) })
	}
	s.withKey("xai-sandbox-reset", func() { s.askAll(1, http.StatusBadGateway) })
	s.withKey("xai-sandbox-garbage", func() { s.askAll(1, http.StatusBadGateway) })
	s.withKey("xai-sandbox-429-after-60", func() { s.askAll(3, http.StatusServiceUnavailable) })
	s.withKey("xai-sandbox-501", func() {
		failing := s.newClient()
		s.ask(60, http.StatusBadGateway, failing)
		s.ask(5, http.StatusTooManyRequests, failing)
		s.askAll(30, http.StatusBadGateway)
	})

	// What is left of the ceiling, and more than that
	s.askAll(1000-500, http.StatusOK)
	s.askAll(20, http.StatusTooManyRequests)
}

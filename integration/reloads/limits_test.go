// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package reloads

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// tokensLeft asks until it is refused, and returns how often it was not.
func tokensLeft(t *testing.T, s *caddytest.Server, url string) (left int) {
	t.Helper()
	for {
		switch got := s.Do(http.MethodPost, url); got.StatusCode {
		case http.StatusOK:
			left++
		case http.StatusTooManyRequests:
			return left
		default:
			t.Fatalf("got %d %s", got.StatusCode, got.Body)
		}
	}
}

// TestLimitsSurviveReloads takes two of five tokens an hour, loads another config,
// and asks for what is left.
func TestLimitsSurviveReloads(t *testing.T) {
	site := caddytest.Site("rate_limit 5 1h")
	replaced := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(site) }
	const broken = "\nhttp://SITE2 {\n\txai_ephemeral_token {env.XAI_NEVER_SET}\n}\n"
	for _, test := range []struct {
		name  string
		loads []string // those with a mistake are refused
		left  int
	}{
		{"the same", []string{site}, 3},
		{"another count", []string{caddytest.Site("rate_limit 4 1h")}, 2},
		{"a count that is used up already", []string{caddytest.Site("rate_limit 1 1h")}, 0},
		{"another count and back", []string{caddytest.Site("rate_limit 1 1h"), site}, 3},
		{"another window", []string{caddytest.Site("rate_limit 5 2h")}, 5},
		{"another key", []string{caddytest.Site("rate_limit 5 1h {client_ip}")}, 5},
		{"more limits before it", []string{caddytest.Site("rate_limit 50 24h", "rate_limit 60 1h site", "rate_limit 5 1h")}, 3},
		{"other options", []string{caddytest.Site("rate_limit 5 1h", "timeout 3s", "prefetch 2")}, 3},
		{"another nesting", []string{replaced("xai_ephemeral_token /session", "handle /session {\nxai_ephemeral_token", "\n\t}\n}", "\n\t}\n}\n}")}, 3},
		{"another path", []string{replaced("/session", "/session*")}, 5},
		{"a handler for another host before it", []string{
			"http://other.example.com:PORT {\n\txai_ephemeral_token /session " + caddytest.Key + "\n}\n" + site}, 3},
		{"removed and added again", []string{"http://SITE {\n\trespond gone\n}\n", site}, 5},
		{"switched off and on", []string{caddytest.Site("rate_limit off"), site}, 5},
		{"a config that is refused", []string{site + broken}, 3},
		{"a config that is refused with another count", []string{caddytest.Site("rate_limit 1 1h") + broken}, 3},
		{"many that are refused, and the same", []string{site + broken, broken, site + broken, site}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := caddytest.Start(t, caddytest.NewUpstream(t), site)
			for range 2 {
				caddytest.DecodeToken(t, s.Post())
			}
			for _, config := range test.loads {
				s.Client.CloseIdleConnections()
				if err := s.Load(config); (err != nil) != strings.Contains(config, broken) {
					t.Fatal(err)
				}
			}
			if left := tokensLeft(t, s, s.URL+"/session"); left != test.left {
				t.Errorf("%d tokens are left, want %d", left, test.left)
			}
		})
	}
}

// TestSitesShareNothing has the same lines in two sites, and on two paths.
func TestSitesShareNothing(t *testing.T) {
	config := caddytest.Site("rate_limit 2 1h site") + `
http://localhost:PORT {
	xai_ephemeral_token /session ` + caddytest.Key + ` {
		endpoint UPSTREAM
		rate_limit 2 1h site
	}
	xai_ephemeral_token /other ` + caddytest.Key + ` {
		endpoint UPSTREAM
		rate_limit 2 1h site
	}
}
`
	s := caddytest.Start(t, caddytest.NewUpstream(t), config)
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	for range 2 {
		for i, url := range []string{s.URL + "/session", "http://localhost" + port + "/session", "http://localhost" + port + "/other"} {
			if left := tokensLeft(t, s, url); left != 2 && !s.Reloaded || left != 0 && s.Reloaded {
				t.Errorf("site %d: %d tokens are left", i, left)
			}
		}
		s.Reload(config)
	}
}

// TestLimitsHoldUnderReloads reloads all the time while clients ask for many more
// tokens than there are. Every second config is refused.
func TestLimitsHoldUnderReloads(t *testing.T) {
	const limit = 200
	up := caddytest.NewUpstream(t)
	configs := []string{
		caddytest.Site("rate_limit 200 24h site"),
		caddytest.Site("rate_limit 1 24h site") + "\nhttp://SITE2 {\n\txai_ephemeral_token {env.XAI_NEVER_SET}\n}\n",
		caddytest.Site("rate_limit 500 24h {client_ip}", "rate_limit 200 24h site"),
	}
	s := caddytest.Start(t, up, configs[0])
	var through atomic.Int64
	stop := caddytest.KeepAsking(8, func() {
		got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session")
		switch {
		case err != nil: // Caddy itself loses a few connections in a reload
		case got.StatusCode == http.StatusOK:
			through.Add(1)
		case got.StatusCode != http.StatusTooManyRequests:
			t.Errorf("got %d", got.StatusCode)
		}
	})
	for i := range 30 {
		_ = s.Load(configs[i%len(configs)])
	}
	stop()
	s.Reload(configs[0])
	total := through.Load() + int64(tokensLeft(t, s, s.URL+"/session"))
	// A token that was lost with its connection counts, too.
	if minted := int64(len(up.Requests())); total > limit || minted != limit {
		t.Errorf("%d tokens came through, and %d were minted; want %d", total, minted, limit)
	}
}

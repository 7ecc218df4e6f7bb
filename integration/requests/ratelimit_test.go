// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package requests

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

func TestDefaultRateLimit(t *testing.T) {
	s := caddytest.Start(t, caddytest.NewUpstream(t), caddytest.Site())
	for range 10 {
		caddytest.DecodeToken(t, s.Post())
	}
	got := s.Post()
	wait, err := strconv.Atoi(got.Header.Get("Retry-After"))
	if got.StatusCode != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 6 {
		t.Errorf("got %d with Retry-After %q, want 429 with 6 at most", got.StatusCode, got.Header.Get("Retry-After"))
	}
}

func TestRateLimitOff(t *testing.T) {
	s := caddytest.Start(t, caddytest.NewUpstream(t), caddytest.Site("rate_limit off"))
	for range 30 {
		caddytest.DecodeToken(t, s.Post())
	}
}

// TestRateLimitKeys gives each client one token an hour and asks twice: the
// second request passes if it comes from another client.
func TestRateLimitKeys(t *testing.T) {
	tests := []struct {
		name, key     string
		first, second []string
		status        int
	}{
		{"the same address", "", caddytest.Forwarded("192.0.2.1"), caddytest.Forwarded("192.0.2.1"), 429},
		{"another address", "", caddytest.Forwarded("192.0.2.1"), caddytest.Forwarded("192.0.2.2"), 200},
		{"the same address in IPv6 form", "", caddytest.Forwarded("192.0.2.1"), caddytest.Forwarded("::ffff:192.0.2.1"), 429},
		{"an address in the same /64", "", caddytest.Forwarded("2001:db8::1"), caddytest.Forwarded("2001:db8::ffff:1"), 429},
		{"an address in another /64", "", caddytest.Forwarded("2001:db8::1"), caddytest.Forwarded("2001:db8:0:1::1"), 200},
		{"the same value of the key", "{header.X-User}", header("X-User", "alice"), header("X-User", "alice"), 429},
		{"another value of the key", "{header.X-User}", header("X-User", "alice"), header("X-User", "bob"), 200},
		{"the key is nothing, so the address counts", "{header.X-User}", nil, nil, 429},
		{"the key is an address, which is another client", "{header.X-User}", header("X-User", "127.0.0.1"), nil, 200},
		{"the key is an address in the same /64", "{client_ip}", caddytest.Forwarded("2001:db8::1"), caddytest.Forwarded("2001:db8::2"), 429},
		{"one key for all", "everybody", caddytest.Forwarded("192.0.2.1"), caddytest.Forwarded("192.0.2.2"), 429},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := caddytest.Start(t, caddytest.NewUpstream(t), caddytest.Site("rate_limit 1 1h "+test.key))
			caddytest.DecodeToken(t, s.Post(test.first...))
			if got := s.Post(test.second...); got.StatusCode != test.status {
				t.Errorf("got %d, want %d", got.StatusCode, test.status)
			}
		})
	}
}

func header(name, value string) []string { return []string{name, value} }

func TestRequestWithoutTokenCostsNothing(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit 1 1h"))
	up.Script(sandbox.Status(http.StatusUnauthorized), sandbox.Answer(http.StatusOK, "{}"))
	for want, ask := range map[int]func() caddytest.Answer{
		http.StatusMethodNotAllowed: func() caddytest.Answer { return s.Do(http.MethodGet, s.URL+"/session") },
		http.StatusForbidden:        func() caddytest.Answer { return s.Post("Sec-Fetch-Site", "cross-site") },
		http.StatusBadGateway:       func() caddytest.Answer { s.Post(); return s.Post() },
	} {
		if got := ask(); got.StatusCode != want {
			t.Errorf("got %d, want %d", got.StatusCode, want)
		}
	}
	caddytest.DecodeToken(t, s.Post())
	if got := s.Post(); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the second token got %d, want 429", got.StatusCode)
	}
}

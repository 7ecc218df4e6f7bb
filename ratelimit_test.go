// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

func TestDefaultRateLimit(t *testing.T) {
	s := startCaddy(t, newUpstream(t), strings.Replace(simpleSite, "rate_limit off", "", 1))
	for range 10 {
		decodeToken(t, s.post())
	}
	got := s.post()
	wait, err := strconv.Atoi(got.Header.Get("Retry-After"))
	if got.StatusCode != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 6 {
		t.Errorf("got %d with Retry-After %q, want 429 with 6 at most", got.StatusCode, got.Header.Get("Retry-After"))
	}
}

func TestRateLimitOff(t *testing.T) {
	s := startCaddy(t, newUpstream(t), simpleSite)
	for range 30 {
		decodeToken(t, s.post())
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
		{"the same address", "", forwarded("192.0.2.1"), forwarded("192.0.2.1"), 429},
		{"another address", "", forwarded("192.0.2.1"), forwarded("192.0.2.2"), 200},
		{"the same address in IPv6 form", "", forwarded("192.0.2.1"), forwarded("::ffff:192.0.2.1"), 429},
		{"an address in the same /64", "", forwarded("2001:db8::1"), forwarded("2001:db8::ffff:1"), 429},
		{"an address in another /64", "", forwarded("2001:db8::1"), forwarded("2001:db8:0:1::1"), 200},
		{"the same value of the key", "{header.X-User}", header("X-User", "alice"), header("X-User", "alice"), 429},
		{"another value of the key", "{header.X-User}", header("X-User", "alice"), header("X-User", "bob"), 200},
		{"the key is nothing, so the address counts", "{header.X-User}", nil, nil, 429},
		{"the key is an address, which is another client", "{header.X-User}", header("X-User", "127.0.0.1"), nil, 200},
		{"the key is an address in the same /64", "{client_ip}", forwarded("2001:db8::1"), forwarded("2001:db8::2"), 429},
		{"one key for all", "everybody", forwarded("192.0.2.1"), forwarded("192.0.2.2"), 429},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := startCaddy(t, newUpstream(t), strings.Replace(simpleSite, "off", "1 1h "+test.key, 1))
			decodeToken(t, s.post(test.first...))
			if got := s.post(test.second...); got.StatusCode != test.status {
				t.Errorf("got %d, want %d", got.StatusCode, test.status)
			}
		})
	}
}

func header(name, value string) []string { return []string{name, value} }

func forwarded(address string) []string { return header("X-Forwarded-For", address) }

func TestRequestWithoutTokenCostsNothing(t *testing.T) {
	up := newUpstream(t)
	s := startCaddy(t, up, strings.Replace(simpleSite, "off", "1 1h", 1))
	up.Script(sandbox.Status(http.StatusUnauthorized), sandbox.Answer(http.StatusOK, "{}"))
	for want, ask := range map[int]func() answer{
		http.StatusMethodNotAllowed: func() answer { return s.do(http.MethodGet, s.url+"/session") },
		http.StatusForbidden:        func() answer { return s.post("Sec-Fetch-Site", "cross-site") },
		http.StatusBadGateway:       func() answer { s.post(); return s.post() },
	} {
		if got := ask(); got.StatusCode != want {
			t.Errorf("got %d, want %d", got.StatusCode, want)
		}
	}
	decodeToken(t, s.post())
	if got := s.post(); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the second token got %d, want 429", got.StatusCode)
	}
}

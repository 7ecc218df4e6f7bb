// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package requests

import (
	"net/http"
	"reflect"
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
	if got.StatusCode != http.StatusTooManyRequests || err != nil || wait < 30 || wait > 60 {
		t.Errorf("got %d with Retry-After %q, want 429 until the first token is a minute old", got.StatusCode, got.Header.Get("Retry-After"))
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
		{"one limit for all", "site", caddytest.Forwarded("192.0.2.1"), caddytest.Forwarded("192.0.2.2"), 429},
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
	up.Script(sandbox.Status(http.StatusNotFound), sandbox.Answer(http.StatusOK, "{}"))
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

// TestRateLimits has several limits at once: whatever refuses, nothing is taken.
func TestRateLimits(t *testing.T) {
	const name = "caddy_xai_ephemeral_token_limited_total"
	s := caddytest.Start(t, caddytest.NewUpstream(t), caddytest.Site(
		"rate_limit 3 1h", "rate_limit 2 24h {header.X-User}", "rate_limit 4 2h site"))
	ask := func(address, user string) caddytest.Answer {
		t.Helper()
		return s.Post(append(caddytest.Forwarded(address), "X-User", user)...)
	}
	steps := []struct {
		address, user string
		refusedBy     []any
		hours         int // that Retry-After says, nearly
	}{
		{"192.0.2.1", "alice", nil, 0},
		{"192.0.2.1", "alice", nil, 0},
		{"192.0.2.1", "alice", []any{"2"}, 24},
		{"192.0.2.1", "alice", []any{"2"}, 24},
		{"192.0.2.1", "bob", nil, 0}, // those refused took nothing of the first and the third
		{"192.0.2.1", "bob", []any{"1"}, 1},
		{"192.0.2.1", "alice", []any{"1", "2"}, 24},
		{"192.0.2.2", "bob", nil, 0},
		{"192.0.2.3", "carol", []any{"3"}, 2},
		{"192.0.2.1", "alice", []any{"1", "2", "3"}, 24},
	}
	want := make(map[string]float64) // the metric outlives configs, and tests
	for _, limit := range []string{"1", "2", "3", "failures"} {
		before, ok := s.Metrics()[name+`{limit="`+limit+`"}`]
		if !ok {
			t.Errorf("before anything happened, there is no metric of %s", limit)
		}
		want[limit] = before
	}
	for i, step := range steps {
		got := ask(step.address, step.user)
		if len(step.refusedBy) == 0 {
			caddytest.DecodeToken(t, got)
			continue
		}
		wait, err := strconv.Atoi(got.Header.Get("Retry-After"))
		if got.StatusCode != http.StatusTooManyRequests || err != nil || wait > 3600*step.hours || wait < 3600*step.hours-60 {
			t.Errorf("step %d: got %d with Retry-After %q, want 429 for %d hours", i, got.StatusCode, got.Header.Get("Retry-After"), step.hours)
		}
		logged := s.Logged()
		if last := logged[len(logged)-1]; last["level"] != "debug" || !reflect.DeepEqual(last["limits"], step.refusedBy) {
			t.Errorf("step %d: logged %v, want limits %v", i, last, step.refusedBy)
		}
		for _, limit := range step.refusedBy {
			want[limit.(string)]++
		}
	}
	for limit, count := range want {
		if got := s.Metrics()[name+`{limit="`+limit+`"}`]; got != count {
			t.Errorf("the metric of %s is %g, want %g", limit, got, count)
		}
	}
}

// TestFailuresAreLimited has xAI fail for one client more often than a limit of
// failures allows, which the limits of tokens do not see.
func TestFailuresAreLimited(t *testing.T) {
	up := caddytest.NewUpstream(t)
	for _, test := range []struct {
		limits string
		want   int
	}{{"rate_limit 1000000 1m site", http.StatusTooManyRequests}, {"rate_limit off", http.StatusOK}} {
		t.Run(test.limits, func(t *testing.T) {
			s := caddytest.Start(t, up, caddytest.Site(test.limits, "retries 0"))
			for range 60 {
				up.Script(sandbox.Answer(http.StatusOK, "{}"))
				if got := s.Post(caddytest.Forwarded("192.0.2.1")...); got.StatusCode != http.StatusBadGateway {
					t.Fatalf("got %d, want 502", got.StatusCode)
				}
				// Whatever does not get to xAI is no failure.
				s.Post("Sec-Fetch-Site", "cross-site")
			}
			got := s.Post(caddytest.Forwarded("192.0.2.1")...)
			if got.StatusCode != test.want {
				t.Errorf("after 60 failures got %d, want %d", got.StatusCode, test.want)
			}
			caddytest.DecodeToken(t, s.Post(caddytest.Forwarded("192.0.2.2")...))
			if test.want == http.StatusOK {
				return
			}
			if wait, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || wait < 1 || wait > 60 {
				t.Errorf("got Retry-After %q", got.Header.Get("Retry-After"))
			}
			if count := s.Metrics()[`caddy_xai_ephemeral_token_limited_total{limit="failures"}`]; count == 0 {
				t.Error("the metric of failures is 0")
			}
		})
	}
}

// TestRememberedRefusalIsNoFailure asks while it is known that xAI refuses the key:
// xAI is not called, so nothing is counted against the client.
func TestRememberedRefusalIsNoFailure(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("retries 0"))
	up.Script(sandbox.Status(http.StatusUnauthorized))
	for range 100 {
		if got := s.Post(); got.StatusCode != http.StatusBadGateway {
			t.Fatalf("got %d, want 502", got.StatusCode)
		}
		if len(up.Requests()) > 1 {
			return // the second in which it is known is over
		}
	}
}

// TestPrefetchedTokensCountWhenHandedOut fills a stock, which costs nobody anything.
func TestPrefetchedTokensCountWhenHandedOut(t *testing.T) {
	s := caddytest.Start(t, caddytest.NewUpstream(t), caddytest.Site("rate_limit 3 1h site", "prefetch 8"))
	caddytest.DecodeToken(t, s.Post())
	s.WaitPrefetched(8)
	caddytest.DecodeToken(t, s.Post())
	caddytest.DecodeToken(t, s.Post())
	if got := s.Post(); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the fourth token got %d, want 429", got.StatusCode)
	}
}

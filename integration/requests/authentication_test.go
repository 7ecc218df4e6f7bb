// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package requests

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// accounts is the inside of a basic_auth block: alice and bob, who share the
// password "secret".
func accounts(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("alice %s\n\t\tbob %[1]s", caddytest.HashPassword(t, "secret"))
}

func TestBehindBasicAuth(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, `
http://SITE {
	basic_auth {
		`+accounts(t)+`
	}
	xai_ephemeral_token /session `+caddytest.Key+` {
		endpoint UPSTREAM
		rate_limit 1 1h
	}
}
`)
	t.Run("nothing is minted without credentials", func(t *testing.T) {
		for _, header := range [][]string{nil, caddytest.Credentials("alice", "wrong")} {
			if got := s.Post(header...); got.StatusCode != http.StatusUnauthorized || got.Header.Get("Www-Authenticate") == "" {
				t.Errorf("got %d, want 401 with Www-Authenticate", got.StatusCode)
			}
		}
		if n := len(up.Requests()); n != 0 {
			t.Errorf("xAI was called %d times", n)
		}
	})
	t.Run("a user gets a token and the log says who", func(t *testing.T) {
		token := caddytest.DecodeToken(t, s.Post(caddytest.Credentials("alice", "secret")...))
		entries := s.Logged()
		last := entries[len(entries)-1]
		if last["level"] != "info" || last["user_id"] != "alice" || last["token_id"] != caddytest.TokenID(token.Value) || last["client_ip"] != "127.0.0.1" {
			t.Errorf("logged %v", last)
		}
	})
	t.Run("xAI sees our key and not the user's password", func(t *testing.T) {
		sent := up.Requests()[0].Header
		if got := sent.Values("Authorization"); len(got) != 1 || got[0] != "Bearer "+caddytest.Key {
			t.Error("Authorization is not our key alone")
		}
	})
	t.Run("users who share an address do not share a limit", func(t *testing.T) {
		if got := s.Post(caddytest.Credentials("alice", "secret")...); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("alice got %d, want 429", got.StatusCode)
		}
		caddytest.DecodeToken(t, s.Post(caddytest.Credentials("bob", "secret")...))
		if got := s.Post(caddytest.Credentials("bob", "secret")...); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("bob got %d, want 429", got.StatusCode)
		}
	})
}

func TestRateLimitOfStrangersIsByAddress(t *testing.T) {
	s := caddytest.Start(t, caddytest.NewUpstream(t), `
http://SITE {
	@signing_in header Authorization *
	basic_auth @signing_in {
		`+accounts(t)+`
	}
	xai_ephemeral_token /session `+caddytest.Key+` {
		endpoint UPSTREAM
		rate_limit 1 1h
	}
}
`)
	caddytest.DecodeToken(t, s.Post())
	if got := s.Post("User-Agent", "another"); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the address got %d, want 429", got.StatusCode)
	}
	caddytest.DecodeToken(t, s.Post(caddytest.Credentials("alice", "secret")...))
	if got := s.Post(); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the address got %d, want 429", got.StatusCode)
	}
}

// TestPreflightPastBasicAuth uses the matcher that the README shows: a browser
// sends no credentials with a preflight.
func TestPreflightPastBasicAuth(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, `
http://SITE {
	@needs_auth not {
		method OPTIONS
		header Origin *
		header Access-Control-Request-Method *
	}
	basic_auth @needs_auth {
		`+accounts(t)+`
	}
	xai_ephemeral_token /session `+caddytest.Key+` {
		endpoint UPSTREAM
		trusted_origins https://app.example.com
	}
}
`)
	const app, evil = "https://app.example.com", "https://evil.example.com"
	const ask = "Access-Control-Request-Method"
	tests := []struct {
		name, method string
		header       []string
		status       int
		allowed      string // Access-Control-Allow-Origin
	}{
		{"a preflight of a trusted origin", "OPTIONS", []string{"Origin", app, ask, "POST"}, 204, app},
		{"a preflight of another origin", "OPTIONS", []string{"Origin", evil, ask, "POST"}, 403, ""},
		{"a request of a trusted origin without credentials", "POST", []string{"Origin", app}, 401, ""},
		{"a request dressed up as a preflight", "POST", []string{"Origin", app, ask, "POST"}, 401, ""},
		{"a request of an app without credentials", "POST", nil, 401, ""},
		{"OPTIONS without the headers of CORS", "OPTIONS", nil, 401, ""},
		{"OPTIONS with an origin alone", "OPTIONS", []string{"Origin", app}, 401, ""},
		{"OPTIONS with a method alone", "OPTIONS", []string{ask, "POST"}, 401, ""},
		{"OPTIONS with headers of CORS that are empty", "OPTIONS", []string{"Origin", "", ask, ""}, 405, ""},
		{"a request of a trusted origin with credentials", "POST", append(caddytest.Credentials("alice", "secret"), "Origin", app), 200, app},
		{"a request of another origin with credentials", "POST", append(caddytest.Credentials("alice", "secret"), "Origin", evil), 403, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(up.Requests())
			got := s.Do(test.method, s.URL+"/session", test.header...)
			if got.StatusCode != test.status || got.Header.Get("Access-Control-Allow-Origin") != test.allowed {
				t.Errorf("got %d for the origin %q, want %d for %q",
					got.StatusCode, got.Header.Get("Access-Control-Allow-Origin"), test.status, test.allowed)
			}
			if minted := len(up.Requests()) - before; (minted == 1) != (test.status == 200) {
				t.Errorf("%d tokens were minted", minted)
			}
		})
	}
}

// forwardAuthSites is a site that asks a second one who somebody is. That one
// believes the header X-Login, and would answer 418 to a call meant for xAI.
const forwardAuthSites = `
http://SITE {
	forward_auth SITE2 {
		uri /who
		copy_headers Remote-User
	}
	xai_ephemeral_token /session ` + caddytest.Key + ` {
		endpoint UPSTREAM
		rate_limit RATE {header.Remote-User}
	}
}
http://SITE2 {
	@known {
		path /who
		header X-Login *
	}
	handle @known {
		header Remote-User {header.X-Login}
		respond "welcome"
	}
	handle /who {
		respond "who are you" 401
	}
	handle {
		respond "not for me" 418
	}
}
`

func TestBehindForwardAuth(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, strings.Replace(forwardAuthSites, "RATE", "2 1h", 1))

	t.Run("a stranger gets the answer of the other site", func(t *testing.T) {
		got := s.Post("Remote-User", "alice")
		if got.StatusCode != http.StatusUnauthorized || got.Body != "who are you" {
			t.Errorf("got %d %q, want 401", got.StatusCode, got.Body)
		}
		if n := len(up.Requests()); n != 0 {
			t.Errorf("xAI was called %d times", n)
		}
	})
	t.Run("the call goes to xAI and not to the other site", func(t *testing.T) {
		caddytest.DecodeToken(t, s.Post("X-Login", "alice"))
		requests := up.Requests()
		if len(requests) != 1 {
			t.Fatalf("xAI got %d requests, want 1", len(requests))
		}
		if want := strings.TrimPrefix(up.URL, "http://"); requests[0].Host != want {
			t.Errorf("the call was for the host %q, want %q", requests[0].Host, want)
		}
		for name := range requests[0].Header {
			if strings.HasPrefix(name, "X-Forwarded-") || name == "Remote-User" || name == "X-Login" {
				t.Errorf("xAI was sent %s", name)
			}
		}
	})
	t.Run("a retry goes to xAI, too", func(t *testing.T) {
		before := len(up.Requests())
		up.Script(sandbox.Break(), sandbox.Status(http.StatusServiceUnavailable))
		caddytest.DecodeToken(t, s.Post("X-Login", "bob"))
		if n := len(up.Requests()) - before; n != 3 {
			t.Errorf("xAI was called %d times, want 3", n)
		}
	})
	t.Run("the user whom the other site names has the limit", func(t *testing.T) {
		// The client's own Remote-User counts for nothing.
		caddytest.DecodeToken(t, s.Post("X-Login", "alice", "Remote-User", "bob"))
		if got := s.Post("X-Login", "alice", "Remote-User", "carol"); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("alice got %d, want 429", got.StatusCode)
		}
		caddytest.DecodeToken(t, s.Post("X-Login", "bob"))
		if got := s.Post("X-Login", "bob"); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("bob got %d, want 429", got.StatusCode)
		}
	})
}

func TestBehindForwardAuthConcurrently(t *testing.T) {
	const clients, each = 16, 15
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, strings.Replace(forwardAuthSites, "RATE", fmt.Sprint(each, " 24h"), 1))

	var handedOut caddytest.Tokens
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			for range each {
				got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session", "X-Login", fmt.Sprint("user", i))
				if err == nil {
					err = handedOut.Add(got)
				}
				if err != nil {
					t.Error(err)
				}
			}
			got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session", "X-Login", fmt.Sprint("user", i))
			if err != nil || got.StatusCode != http.StatusTooManyRequests {
				t.Errorf("over the limit user%d got %d and error %v, want 429", i, got.StatusCode, err)
			}
		})
	}
	group.Wait()
	if n := handedOut.Count(); n != clients*each {
		t.Errorf("%d tokens were handed out, want %d", n, clients*each)
	}
	if n := len(up.Requests()); n != clients*each {
		t.Errorf("xAI was called %d times, want %d", n, clients*each)
	}
}

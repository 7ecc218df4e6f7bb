// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// accounts is the inside of a basic_auth block: alice and bob, who share the
// password "secret".
func accounts(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("alice %s\n\t\tbob %[1]s", hash)
}

// credentials is the header of a user of accounts, as a name and a value.
func credentials(user, password string) []string {
	req := http.Request{Header: make(http.Header)}
	req.SetBasicAuth(user, password)
	return []string{"Authorization", req.Header.Get("Authorization")}
}

// tokens collects what was handed out, from any goroutine.
type tokens struct {
	mu   sync.Mutex
	seen map[string]bool
}

// add says what is wrong with an answer that should be a token nobody had yet.
func (s *tokens) add(got answer) error {
	var token tokenJSON
	if err := json.Unmarshal([]byte(got.body), &token); got.StatusCode != http.StatusOK || err != nil || token.Value == "" {
		return fmt.Errorf("got %d %q, want a token", got.StatusCode, got.body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[string]bool)
	}
	if s.seen[token.Value] {
		return errors.New("a token was handed out twice")
	}
	s.seen[token.Value] = true
	return nil
}

func (s *tokens) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

func TestBehindBasicAuth(t *testing.T) {
	up := newUpstream(t)
	s := startCaddy(t, up, `
http://SITE {
	basic_auth {
		`+accounts(t)+`
	}
	xai_ephemeral_token /session `+testKey+` {
		endpoint UPSTREAM
		rate_limit 1 1h
	}
}
`)
	t.Run("nothing is minted without credentials", func(t *testing.T) {
		for _, header := range [][]string{nil, credentials("alice", "wrong")} {
			if got := s.post(header...); got.StatusCode != http.StatusUnauthorized || got.Header.Get("Www-Authenticate") == "" {
				t.Errorf("got %d, want 401 with Www-Authenticate", got.StatusCode)
			}
		}
		if n := len(up.requests()); n != 0 {
			t.Errorf("xAI was called %d times", n)
		}
	})
	t.Run("a user gets a token and the log says who", func(t *testing.T) {
		token := decodeToken(t, s.post(credentials("alice", "secret")...))
		entries := s.logged()
		last := entries[len(entries)-1]
		if last["level"] != "info" || last["user_id"] != "alice" || last["token_id"] != tokenID(token.Value) || last["client_ip"] != "127.0.0.1" {
			t.Errorf("logged %v", last)
		}
	})
	t.Run("xAI sees our key and not the user's password", func(t *testing.T) {
		sent := up.requests()[0].Header
		if got := sent.Values("Authorization"); len(got) != 1 || got[0] != "Bearer "+testKey {
			t.Error("Authorization is not our key alone")
		}
	})
	t.Run("users who share an address do not share a limit", func(t *testing.T) {
		if got := s.post(credentials("alice", "secret")...); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("alice got %d, want 429", got.StatusCode)
		}
		decodeToken(t, s.post(credentials("bob", "secret")...))
		if got := s.post(credentials("bob", "secret")...); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("bob got %d, want 429", got.StatusCode)
		}
	})
}

func TestRateLimitOfStrangersIsByAddress(t *testing.T) {
	s := startCaddy(t, newUpstream(t), `
http://SITE {
	@signing_in header Authorization *
	basic_auth @signing_in {
		`+accounts(t)+`
	}
	xai_ephemeral_token /session `+testKey+` {
		endpoint UPSTREAM
		rate_limit 1 1h
	}
}
`)
	decodeToken(t, s.post())
	if got := s.post("User-Agent", "another"); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the address got %d, want 429", got.StatusCode)
	}
	decodeToken(t, s.post(credentials("alice", "secret")...))
	if got := s.post(); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the address got %d, want 429", got.StatusCode)
	}
}

// TestPreflightPastBasicAuth uses the matcher that the README shows: a browser
// sends no credentials with a preflight.
func TestPreflightPastBasicAuth(t *testing.T) {
	up := newUpstream(t)
	s := startCaddy(t, up, `
http://SITE {
	@needs_auth not {
		method OPTIONS
		header Origin *
		header Access-Control-Request-Method *
	}
	basic_auth @needs_auth {
		`+accounts(t)+`
	}
	xai_ephemeral_token /session `+testKey+` {
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
		{"a request of a trusted origin with credentials", "POST", append(credentials("alice", "secret"), "Origin", app), 200, app},
		{"a request of another origin with credentials", "POST", append(credentials("alice", "secret"), "Origin", evil), 403, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(up.requests())
			got := s.do(test.method, s.url+"/session", test.header...)
			if got.StatusCode != test.status || got.Header.Get("Access-Control-Allow-Origin") != test.allowed {
				t.Errorf("got %d for the origin %q, want %d for %q",
					got.StatusCode, got.Header.Get("Access-Control-Allow-Origin"), test.status, test.allowed)
			}
			if minted := len(up.requests()) - before; (minted == 1) != (test.status == 200) {
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
	xai_ephemeral_token /session ` + testKey + ` {
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
	up := newUpstream(t)
	s := startCaddy(t, up, strings.Replace(forwardAuthSites, "RATE", "2 1h", 1))

	t.Run("a stranger gets the answer of the other site", func(t *testing.T) {
		got := s.post("Remote-User", "alice")
		if got.StatusCode != http.StatusUnauthorized || got.body != "who are you" {
			t.Errorf("got %d %q, want 401", got.StatusCode, got.body)
		}
		if n := len(up.requests()); n != 0 {
			t.Errorf("xAI was called %d times", n)
		}
	})
	t.Run("the call goes to xAI and not to the other site", func(t *testing.T) {
		decodeToken(t, s.post("X-Login", "alice"))
		requests := up.requests()
		if len(requests) != 1 {
			t.Fatalf("xAI got %d requests, want 1", len(requests))
		}
		if want := strings.TrimPrefix(up.server.URL, "http://"); requests[0].Host != want {
			t.Errorf("the call was for the host %q, want %q", requests[0].Host, want)
		}
		for name := range requests[0].Header {
			if strings.HasPrefix(name, "X-Forwarded-") || name == "Remote-User" || name == "X-Login" {
				t.Errorf("xAI was sent %s", name)
			}
		}
	})
	t.Run("a retry goes to xAI, too", func(t *testing.T) {
		before := len(up.requests())
		up.Script(sandbox.Break(), sandbox.Status(http.StatusServiceUnavailable))
		decodeToken(t, s.post("X-Login", "bob"))
		if n := len(up.requests()) - before; n != 3 {
			t.Errorf("xAI was called %d times, want 3", n)
		}
	})
	t.Run("the user whom the other site names has the limit", func(t *testing.T) {
		// The client's own Remote-User counts for nothing.
		decodeToken(t, s.post("X-Login", "alice", "Remote-User", "bob"))
		if got := s.post("X-Login", "alice", "Remote-User", "carol"); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("alice got %d, want 429", got.StatusCode)
		}
		decodeToken(t, s.post("X-Login", "bob"))
		if got := s.post("X-Login", "bob"); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("bob got %d, want 429", got.StatusCode)
		}
	})
}

func TestBehindForwardAuthConcurrently(t *testing.T) {
	const clients, each = 16, 15
	up := newUpstream(t)
	s := startCaddy(t, up, strings.Replace(forwardAuthSites, "RATE", fmt.Sprint(each, " 24h"), 1))

	var handedOut tokens
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			for range each {
				got, err := s.try(t.Context(), http.MethodPost, s.url+"/session", "X-Login", fmt.Sprint("user", i))
				if err == nil {
					err = handedOut.add(got)
				}
				if err != nil {
					t.Error(err)
				}
			}
			got, err := s.try(t.Context(), http.MethodPost, s.url+"/session", "X-Login", fmt.Sprint("user", i))
			if err != nil || got.StatusCode != http.StatusTooManyRequests {
				t.Errorf("over the limit user%d got %d and error %v, want 429", i, got.StatusCode, err)
			}
		})
	}
	group.Wait()
	if n := handedOut.count(); n != clients*each {
		t.Errorf("%d tokens were handed out, want %d", n, clients*each)
	}
	if n := len(up.requests()); n != clients*each {
		t.Errorf("xAI was called %d times, want %d", n, clients*each)
	}
}

func init() {
	caddy.RegisterModule(dialInfo{})
	httpcaddyfile.RegisterHandlerDirective("test_dial_info", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		var handler dialInfo
		if !h.AllArgs(&handler.Address) {
			return nil, h.ArgErr()
		}
		return &handler, nil
	})
}

// dialInfo leaves on the request what a reverse proxy may leave there: where it
// connected to. Whether forward_auth does depends on the version of Caddy.
type dialInfo struct {
	Address string `json:"address"`
}

func (dialInfo) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_dial_info", New: func() caddy.Module { return new(dialInfo) }}
}

func (d *dialInfo) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	info := reverseproxy.DialInfo{Network: "tcp", Address: d.Address}
	ctx := context.WithValue(r.Context(), caddy.CtxKey("reverse_proxy.dial_info"), info)
	if got, _ := reverseproxy.GetDialInfo(ctx); got != info {
		return errors.New("Caddy keeps it elsewhere: this test proves nothing any more")
	}
	return next.ServeHTTP(w, r.WithContext(ctx))
}

func TestDialInfoOfOthersDoesNotSteer(t *testing.T) {
	up := newUpstream(t)
	s := startCaddy(t, up, `
http://SITE {
	route {
		test_dial_info SITE2
		xai_ephemeral_token `+testKey+` {
			endpoint UPSTREAM
		}
	}
}
http://SITE2 {
	respond `+"`"+`{"value": "not from xAI", "expires_at": 1790000000}`+"`"+`
}
`)
	if token := decodeToken(t, s.post()); !strings.HasPrefix(token.Value, "xai-realtime-client-secret-") {
		t.Errorf("got the token %q", token.Value)
	}
	if n := len(up.requests()); n != 1 {
		t.Errorf("xAI was called %d times, want 1", n)
	}
}

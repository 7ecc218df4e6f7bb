// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// Origins for the examples that trust one.
const (
	exampleApp  = "https://app.example.com"
	exampleEvil = "https://evil.example.com"
)

// accessTo is a request, and what has to become of it.
type accessTo struct {
	name, method, path string
	header             []string
	status             int
}

// checkAccess sends each request, and counts what it minted.
func checkAccess(t *testing.T, s *caddytest.Server, up *caddytest.Upstream, tests []accessTo) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(up.Requests())
			got := s.Do(test.method, s.URL+test.path, test.header...)
			if got.StatusCode != test.status {
				t.Errorf("got %d %q, want %d", got.StatusCode, got.Body, test.status)
			}
			if minted := len(up.Requests()) - before; (minted == 1) != (test.status == http.StatusOK) {
				t.Errorf("%d tokens were minted", minted)
			}
			if test.status == http.StatusOK {
				up.MustOpenOneSession(t, caddytest.DecodeToken(t, got).Value)
			}
		})
	}
}

// withoutCredentials are requests of somebody who has none. Only the question of
// a browser, for a page of the app, gets more than refused.
func withoutCredentials(refused int) []accessTo {
	const ask = "Access-Control-Request-Method"
	tests := []accessTo{
		{"a preflight of the app", "OPTIONS", "/session", []string{"Origin", exampleApp, ask, "POST"}, http.StatusNoContent},
		{"a preflight of another site", "OPTIONS", "/session", []string{"Origin", exampleEvil, ask, "POST"}, http.StatusForbidden},
		{"a request", "POST", "/session", nil, refused},
		{"a request of the app", "POST", "/session", []string{"Origin", exampleApp}, refused},
		{"a request dressed up as a preflight", "POST", "/session", []string{"Origin", exampleApp, ask, "POST"}, refused},
		{"a request that asks to be taken for one", "POST", "/session", []string{"Origin", exampleApp, ask, "POST", "X-Http-Method-Override", "OPTIONS"}, refused},
		{"OPTIONS that is no preflight", "OPTIONS", "/session", nil, refused},
		{"OPTIONS with an origin alone", "OPTIONS", "/session", []string{"Origin", exampleApp}, refused},
		{"a GET", "GET", "/session", nil, refused},
		{"a HEAD", "HEAD", "/session", nil, refused},
	}
	// Spellings of the path that one handler might know and another not.
	for _, path := range []string{"/SESSION", "/%73ession", "//session", "/./session", "/x/../session"} {
		tests = append(tests, accessTo{"the path " + path, "POST", path, nil, refused})
	}
	return tests
}

// mustLogUser waits for the line of a token in the access log, and fails the test
// unless it names the user.
func mustLogUser(t *testing.T, s *caddytest.Server, token, user string) {
	t.Helper()
	var line map[string]any
	caddytest.Eventually(t, "the access log has the token", func() bool {
		for _, entry := range s.LoggedBy("http.log.access") {
			if entry["token_id"] == caddytest.TokenID(token) {
				line = entry
			}
		}
		return line != nil
	})
	if line["user_id"] != user {
		t.Errorf("the user of the token is %q, want %q", line["user_id"], user)
	}
	if strings.Contains(s.ReadFile("caddy.log"), token) {
		t.Error("the log has the token itself")
	}
}

func TestExampleBasicAuth(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := startExample(t, up, "authentication/basic-auth", map[string]string{"ALICE_PASSWORD_HASH": caddytest.HashPassword(t, "secret")})

	checkAccess(t, s, up, withoutCredentials(http.StatusUnauthorized))
	alice := caddytest.Credentials("alice", "secret")
	checkAccess(t, s, up, []accessTo{
		{"a wrong password", "POST", "/session", caddytest.Credentials("alice", "wrong"), 401},
		{"the password", "POST", "/session", alice, 200},
		{"the password, from a page of the app", "POST", "/session", append([]string{"Origin", exampleApp}, alice...), 200},
		{"the password, from a page of another site", "POST", "/session", append([]string{"Origin", exampleEvil}, alice...), 403},
	})

	t.Run("the log says who got the token", func(t *testing.T) {
		token := caddytest.DecodeToken(t, s.Post(alice...)).Value
		entries := s.Logged()
		if last := entries[len(entries)-1]; last["user_id"] != "alice" || last["token_id"] != caddytest.TokenID(token) {
			t.Errorf("logged %v", last)
		}
	})
	t.Run("the user has a limit, and not the address", func(t *testing.T) {
		for range 7 {
			caddytest.DecodeToken(t, s.Post(append([]string{"X-Forwarded-For", "192.0.2.1"}, alice...)...))
		}
		if got := s.Post(append([]string{"X-Forwarded-For", "192.0.2.2"}, alice...)...); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("got %d, want 429", got.StatusCode)
		}
	})
}

func TestExampleBasicAuthNeedsAPassword(t *testing.T) {
	t.Setenv("ALICE_PASSWORD_HASH", "")
	t.Setenv("XAI_API_KEY", caddytest.Key)
	s := caddytest.Start(t, caddytest.NewUpstream(t), "http://SITE2 {\n\trespond ok\n}\n")
	err := s.LoadVerbatim(caddytest.ReadExample(t, "authentication", "basic-auth", "Caddyfile"))
	if err == nil || !strings.Contains(err.Error(), "username and password are required") {
		t.Errorf("it loads without a password, or says %v", err)
	}
}

// newIdentityProvider knows a user by the session cookie, and names nobody to
// whoever has the cookie "anonymous".
func newIdentityProvider(t *testing.T) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := r.Cookie("session")
		switch {
		case r.URL.Path != "/api/authz/forward-auth" || r.Header.Get("X-Forwarded-Method") == "":
			w.WriteHeader(http.StatusTeapot) // not what the example has to ask
		case err != nil:
			w.Header().Set("Access-Control-Allow-Origin", "https://provider.example.com")
			w.WriteHeader(http.StatusUnauthorized)
		case session.Value != "anonymous":
			w.Header().Set("Remote-User", session.Value)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestExampleForwardAuth(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := startExample(t, up, "authentication/forward-auth", map[string]string{"AUTH_ADDRESS": newIdentityProvider(t)})

	checkAccess(t, s, up, withoutCredentials(http.StatusUnauthorized))
	checkAccess(t, s, up, []accessTo{
		{"a header that says who it is", "POST", "/session", []string{"Remote-User", "alice"}, 401},
		{"a user", "POST", "/session", []string{"Cookie", "session=carol"}, 200},
		{"a user, from a page of the app", "POST", "/session", []string{"Cookie", "session=carol", "Origin", exampleApp}, 200},
		{"a user, from a page of another site", "POST", "/session", []string{"Cookie", "session=carol", "Origin", exampleEvil}, 403},
	})
	t.Run("the log says who got the token, whoever they say they are", func(t *testing.T) {
		token := caddytest.DecodeToken(t, s.Post("Cookie", "session=alice", "Remote-User", "bob")).Value
		mustLogUser(t, s, token, "alice")
	})
	t.Run("a name in a preflight is nobody's", func(t *testing.T) {
		before := len(s.LoggedBy("http.log.access"))
		s.Do(http.MethodOptions, s.URL+"/session", "Origin", exampleApp,
			"Access-Control-Request-Method", "POST", "Remote-User", "bob")
		caddytest.Eventually(t, "the preflight is logged", func() bool { return len(s.LoggedBy("http.log.access")) > before })
		if user := s.LoggedBy("http.log.access")[before]["user_id"]; user != nil && user != "" {
			t.Errorf("it is logged as the user %v", user)
		}
	})
	t.Run("a name is nobody's that the provider does not confirm", func(t *testing.T) {
		token := caddytest.DecodeToken(t, s.Post("Cookie", "session=anonymous", "Remote-User", "bob")).Value
		mustLogUser(t, s, token, "")
	})
	t.Run("each user has a limit", func(t *testing.T) {
		for range 9 { // one more than that had alice before
			caddytest.DecodeToken(t, s.Post("Cookie", "session=alice"))
		}
		if got := s.Post("Cookie", "session=alice", "Remote-User", "bob"); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("alice got %d, want 429", got.StatusCode)
		}
		caddytest.DecodeToken(t, s.Post("Cookie", "session=bob"))
	})
	t.Run("xAI is told nothing of all this", func(t *testing.T) {
		for _, sent := range up.Requests() {
			if sent.Header.Get("Cookie") != "" || sent.Header.Get("Remote-User") != "" {
				t.Fatalf("xAI was sent %v", sent.Header)
			}
		}
	})
	t.Run("without the provider nobody gets in", func(t *testing.T) {
		s := startExample(t, up, "authentication/forward-auth", map[string]string{"AUTH_ADDRESS": caddytest.FreeAddresses(t, 1)[0]})
		if got := s.Post("Cookie", "session=alice"); got.StatusCode != http.StatusBadGateway {
			t.Errorf("got %d, want 502", got.StatusCode)
		}
	})
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

func TestToken(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off"))

	const raw = "{ \"value\" : \"xai-realtime-client-secret-abc\",\n\t\"expires_at\":1790000000, \"extra\": [1.0] }\n"
	up.Script(sandbox.Answer(http.StatusOK, raw))
	got := s.Post("Origin", s.URL, "Cookie", "a=b", "X-Custom", "c", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

	t.Run("answers with xAI's JSON byte for byte", func(t *testing.T) {
		if got.StatusCode != http.StatusOK || got.Body != raw {
			t.Errorf("got %d %q, want 200 %q", got.StatusCode, got.Body, raw)
		}
	})
	t.Run("sets the headers that a secret needs", func(t *testing.T) {
		for name, want := range map[string]string{
			"Content-Type":           "application/json",
			"Cache-Control":          "no-store",
			"X-Content-Type-Options": "nosniff",
		} {
			if value := got.Header.Get(name); value != want {
				t.Errorf("%s is %q, want %q", name, value, want)
			}
		}
	})
	t.Run("sends xAI what the options say and nothing of the client", func(t *testing.T) {
		requests := up.Requests()
		if len(requests) != 1 {
			t.Fatalf("xAI got %d requests, want 1", len(requests))
		}
		sent := requests[0]
		if sent.Method != http.MethodPost || sent.URL.String() != "/v1/realtime/client_secrets" {
			t.Errorf("sent %s %s", sent.Method, sent.URL)
		}
		if want := `{"expires_after":{"seconds":300}}`; sent.Body != want {
			t.Errorf("sent the body %s, want %s", sent.Body, want)
		}
		if sent.Header.Get("Authorization") != "Bearer "+caddytest.Key {
			t.Error("the key was not sent as a bearer")
		}
		if uuid.Validate(sent.Header.Get("X-Client-Request-Id")) != nil {
			t.Errorf("X-Client-Request-Id is %q, want a UUID", sent.Header.Get("X-Client-Request-Id"))
		}
		var names []string
		for name := range sent.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		want := []string{
			"Accept", "Accept-Encoding", "Authorization", "Content-Length", "Content-Type",
			"User-Agent", "X-Client-Request-Id",
		}
		if !slices.Equal(names, want) {
			t.Errorf("sent the headers %v, want %v", names, want)
		}
	})
}

func TestTokenOpensOneSession(t *testing.T) {
	s := caddytest.Start(t, caddytest.NewUpstream(t), caddytest.Site("rate_limit off"))
	first, second := caddytest.DecodeToken(t, s.Post()), caddytest.DecodeToken(t, s.Post())
	if first.Value == second.Value {
		t.Error("two requests got the same token")
	}
	if !strings.HasPrefix(first.Value, "xai-realtime-client-secret-") {
		t.Error("the value is no ephemeral token")
	}
	if left := time.Until(time.Unix(first.ExpiresAt, 0)); left < 4*time.Minute || left > 6*time.Minute {
		t.Errorf("the token lives %s, want 5m", left)
	}
}

func TestMethods(t *testing.T) {
	s := caddytest.Start(t, caddytest.NewUpstream(t), `
http://SITE {
	xai_ephemeral_token /session `+caddytest.Key+` {
		endpoint UPSTREAM
	}
	xai_ephemeral_token /both `+caddytest.Key+` {
		endpoint UPSTREAM
		methods GET POST
	}
}
`)
	tests := []struct {
		method, path string
		status       int
		allow        string
	}{
		{"POST", "/session", 200, ""},
		{"GET", "/session", 405, "POST"},
		{"HEAD", "/session", 405, "POST"},
		{"PUT", "/session", 405, "POST"},
		{"OPTIONS", "/session", 405, "POST"},
		{"GET", "/both", 200, ""},
		{"POST", "/both", 200, ""},
		{"HEAD", "/both", 405, "GET, POST"},
		{"DELETE", "/both", 405, "GET, POST"},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			got := s.Do(test.method, s.URL+test.path)
			if got.StatusCode != test.status || got.Header.Get("Allow") != test.allow {
				t.Errorf("got %d with Allow %q, want %d with %q",
					got.StatusCode, got.Header.Get("Allow"), test.status, test.allow)
			}
		})
	}
}

// passThruPage shows the placeholders, as a site with a response of its own would.
const passThruPage = `
http://SITE {
	log {
		output file DIR/access.log {
			roll_disabled
		}
	}
	log_append token {http.xai_ephemeral_token.id}
	xai_ephemeral_token /session ` + caddytest.Key + ` {
		endpoint UPSTREAM
		pass_thru
	}
	respond /session ` + "`" + `{"method": "{method}", "value": "{http.xai_ephemeral_token.value}", "expires_at": "{http.xai_ephemeral_token.expires_at}", "id": "{http.xai_ephemeral_token.id}"}` + "`" + `
}
`

func TestPassThru(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, passThruPage)

	t.Run("gives the next handler the token", func(t *testing.T) {
		up.Script(sandbox.Answer(http.StatusOK, `{"value":"xai-realtime-client-secret-x","expires_at":1790000000}`))
		got := s.Post()
		want := fmt.Sprintf(`{"method": "POST", "value": "xai-realtime-client-secret-x", "expires_at": "1790000000", "id": "%s"}`,
			caddytest.TokenID("xai-realtime-client-secret-x"))
		if got.StatusCode != http.StatusOK || got.Body != want {
			t.Errorf("got %d %s, want 200 %s", got.StatusCode, got.Body, want)
		}
		if got.Header.Get("Cache-Control") != "no-store" {
			t.Error("the answer may be cached")
		}
	})
	t.Run("seconds are made of an expiry in milliseconds", func(t *testing.T) {
		up.Script(sandbox.Answer(http.StatusOK, `{"value":"xai-realtime-client-secret-x","expires_at":1790000000123}`))
		if got := s.Post(); !strings.Contains(got.Body, `"expires_at": "1790000000"`) {
			t.Errorf("got %s", got.Body)
		}
	})
	t.Run("hands other methods on without a token", func(t *testing.T) {
		before := len(up.Requests())
		got := s.Do(http.MethodGet, s.URL+"/session")
		if got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `"method": "GET"`) {
			t.Errorf("got %d %s", got.StatusCode, got.Body)
		}
		if got.Header.Get("Cache-Control") != "" {
			t.Error("an answer without a token got Cache-Control")
		}
		if len(up.Requests()) != before {
			t.Error("a token was minted")
		}
	})
	t.Run("does not call the next handler without a token", func(t *testing.T) {
		up.Script(sandbox.Status(http.StatusForbidden))
		if got := s.Post(); got.StatusCode != http.StatusBadGateway || got.Body != "" {
			t.Errorf("got %d %q, want 502 and no body", got.StatusCode, got.Body)
		}
	})
}

func TestPlaceholdersAreSetWithoutPassThru(t *testing.T) {
	s := caddytest.Start(t, caddytest.NewUpstream(t), `
http://SITE {
	log {
		output file DIR/access.log {
			roll_disabled
		}
	}
	log_append token {http.xai_ephemeral_token.id}
	xai_ephemeral_token /session `+caddytest.Key+` {
		endpoint UPSTREAM
	}
}
`)
	id := caddytest.TokenID(caddytest.DecodeToken(t, s.Post()).Value)
	caddytest.Eventually(t, "the access log has the token's id", func() bool {
		return strings.Contains(s.ReadFile("access.log"), `"token":"`+id+`"`)
	})
}

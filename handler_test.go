// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// simpleSite is the least that works against the tests' upstream.
const simpleSite = `
http://SITE {
	xai_ephemeral_token /session ` + testKey + ` {
		endpoint UPSTREAM
		rate_limit off
	}
}
`

func TestToken(t *testing.T) {
	up := newUpstream(t)
	s := startCaddy(t, up, simpleSite)

	const raw = "{ \"value\" : \"xai-realtime-client-secret-abc\",\n\t\"expires_at\":1790000000, \"extra\": [1.0] }\n"
	up.Script(sandbox.Answer(http.StatusOK, raw))
	got := s.post("Origin", s.url, "Cookie", "a=b", "X-Custom", "c", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

	t.Run("answers with xAI's JSON byte for byte", func(t *testing.T) {
		if got.StatusCode != http.StatusOK || got.body != raw {
			t.Errorf("got %d %q, want 200 %q", got.StatusCode, got.body, raw)
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
		requests := up.requests()
		if len(requests) != 1 {
			t.Fatalf("xAI got %d requests, want 1", len(requests))
		}
		sent := requests[0]
		if sent.Method != http.MethodPost || sent.URL.String() != "/v1/realtime/client_secrets" {
			t.Errorf("sent %s %s", sent.Method, sent.URL)
		}
		if want := `{"expires_after":{"seconds":300}}`; sent.body != want {
			t.Errorf("sent the body %s, want %s", sent.body, want)
		}
		if sent.Header.Get("Authorization") != "Bearer "+testKey {
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
	s := startCaddy(t, newUpstream(t), simpleSite)
	first, second := decodeToken(t, s.post()), decodeToken(t, s.post())
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

type tokenJSON struct {
	Value     string `json:"value"`
	ExpiresAt int64  `json:"expires_at"`
}

func decodeToken(t *testing.T, a answer) tokenJSON {
	t.Helper()
	var token tokenJSON
	if err := json.Unmarshal([]byte(a.body), &token); a.StatusCode != http.StatusOK || err != nil || token.Value == "" {
		t.Fatalf("got %d %q, want a token", a.StatusCode, a.body)
	}
	return token
}

func tokenID(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])[:16]
}

func TestMethods(t *testing.T) {
	s := startCaddy(t, newUpstream(t), `
http://SITE {
	xai_ephemeral_token /session `+testKey+` {
		endpoint UPSTREAM
	}
	xai_ephemeral_token /both `+testKey+` {
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
			got := s.do(test.method, s.url+test.path)
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
	xai_ephemeral_token /session ` + testKey + ` {
		endpoint UPSTREAM
		pass_thru
	}
	respond /session ` + "`" + `{"method": "{method}", "value": "{http.xai_ephemeral_token.value}", "expires_at": "{http.xai_ephemeral_token.expires_at}", "id": "{http.xai_ephemeral_token.id}"}` + "`" + `
}
`

func TestPassThru(t *testing.T) {
	up := newUpstream(t)
	s := startCaddy(t, up, passThruPage)

	t.Run("gives the next handler the token", func(t *testing.T) {
		up.Script(sandbox.Answer(http.StatusOK, `{"value":"xai-realtime-client-secret-x","expires_at":1790000000}`))
		got := s.post()
		want := fmt.Sprintf(`{"method": "POST", "value": "xai-realtime-client-secret-x", "expires_at": "1790000000", "id": "%s"}`,
			tokenID("xai-realtime-client-secret-x"))
		if got.StatusCode != http.StatusOK || got.body != want {
			t.Errorf("got %d %s, want 200 %s", got.StatusCode, got.body, want)
		}
		if got.Header.Get("Cache-Control") != "no-store" {
			t.Error("the answer may be cached")
		}
	})
	t.Run("seconds are made of an expiry in milliseconds", func(t *testing.T) {
		up.Script(sandbox.Answer(http.StatusOK, `{"value":"xai-realtime-client-secret-x","expires_at":1790000000123}`))
		if got := s.post(); !strings.Contains(got.body, `"expires_at": "1790000000"`) {
			t.Errorf("got %s", got.body)
		}
	})
	t.Run("hands other methods on without a token", func(t *testing.T) {
		before := len(up.requests())
		got := s.do(http.MethodGet, s.url+"/session")
		if got.StatusCode != http.StatusOK || !strings.Contains(got.body, `"method": "GET"`) {
			t.Errorf("got %d %s", got.StatusCode, got.body)
		}
		if got.Header.Get("Cache-Control") != "" {
			t.Error("an answer without a token got Cache-Control")
		}
		if len(up.requests()) != before {
			t.Error("a token was minted")
		}
	})
	t.Run("does not call the next handler without a token", func(t *testing.T) {
		up.Script(sandbox.Status(http.StatusForbidden))
		if got := s.post(); got.StatusCode != http.StatusBadGateway || got.body != "" {
			t.Errorf("got %d %q, want 502 and no body", got.StatusCode, got.body)
		}
	})
}

func TestPlaceholdersAreSetWithoutPassThru(t *testing.T) {
	s := startCaddy(t, newUpstream(t), `
http://SITE {
	log {
		output file DIR/access.log {
			roll_disabled
		}
	}
	log_append token {http.xai_ephemeral_token.id}
	xai_ephemeral_token /session `+testKey+` {
		endpoint UPSTREAM
	}
}
`)
	id := tokenID(decodeToken(t, s.post()).Value)
	eventually(t, "the access log has the token's id", func() bool {
		return strings.Contains(s.readFile("access.log"), `"token":"`+id+`"`)
	})
}

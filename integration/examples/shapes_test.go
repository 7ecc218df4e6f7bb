// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// decodeStrictly wants exactly the fields of target, and nothing behind them.
func decodeStrictly(t *testing.T, got caddytest.Answer, target any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader([]byte(got.Body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil || decoder.More() || got.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s and error %v", got.StatusCode, got.Body, err)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	} {
		if values := got.Header.Values(name); len(values) != 1 || values[0] != want {
			t.Errorf("%s is %q, want %q", name, values, want)
		}
	}
}

// mustExpireSoon wants a time within the lifetime of a token.
func mustExpireSoon(t *testing.T, at time.Time) {
	t.Helper()
	if left := time.Until(at); left <= 0 || left > 5*time.Minute {
		t.Errorf("it expires at %s, in %s", at, left)
	}
}

func TestExampleCustomResponse(t *testing.T) {
	up := caddytest.NewUpstream(t)
	realtime := strings.Replace(up.URL, "http:", "ws:", 1) + "/v1/realtime"
	s := startExample(t, up, "custom-response", map[string]string{"REALTIME_URL": realtime})

	t.Run("the client_secret of OpenAI's sessions", func(t *testing.T) {
		var got struct {
			Secret caddytest.Token `json:"client_secret"`
		}
		decodeStrictly(t, s.Do(http.MethodPost, s.URL+"/openai"), &got)
		mustExpireSoon(t, time.Unix(got.Secret.ExpiresAt, 0))
		up.MustOpenOneSession(t, got.Secret.Value)
	})
	t.Run("the setup of the AI SDK's useRealtime", func(t *testing.T) {
		var got struct{ Token, URL string }
		// The hook posts its session's settings, which nobody here looks at.
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/ai-sdk", strings.NewReader(`{"sessionConfig":{"voice":"eve"}}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		decodeStrictly(t, s.Send(req), &got)
		if got.URL != realtime+"?model=grok-voice-latest" {
			t.Errorf("the url is %q", got.URL)
		}
		// Where the url says, as the hook does.
		if err := caddytest.OpenSession(t, strings.Replace(got.URL, "ws:", "http:", 1), got.Token); err != nil {
			t.Error(err)
		}
	})
	t.Run("the RealtimeToken of TanStack AI", func(t *testing.T) {
		var got struct {
			Provider, Token string
			ExpiresAt       int64
			Config          struct{ Model string }
		}
		decodeStrictly(t, s.Do(http.MethodPost, s.URL+"/tanstack"), &got)
		if got.Provider != "grok" || got.Config.Model != "grok-voice-latest" {
			t.Errorf("got %+v", got)
		}
		mustExpireSoon(t, time.UnixMilli(got.ExpiresAt))
		up.MustOpenOneSession(t, got.Token)
	})
	t.Run("milliseconds and seconds of xAI's come out alike", func(t *testing.T) {
		for _, expiresAt := range []string{"1790000000", "1790000000123"} {
			minted := sandbox.Answer(http.StatusOK, `{"value":"xai-realtime-client-secret-x","expires_at":`+expiresAt+`}`)
			up.Script(minted, minted)
			if got := s.Do(http.MethodPost, s.URL+"/openai"); !strings.Contains(got.Body, `"expires_at": 1790000000}`) {
				t.Errorf("%s became %s", expiresAt, got.Body)
			}
			if got := s.Do(http.MethodPost, s.URL+"/tanstack"); !strings.Contains(got.Body, `"expiresAt": 1790000000000,`) {
				t.Errorf("%s became %s", expiresAt, got.Body)
			}
		}
	})
	for _, path := range []string{"/openai", "/ai-sdk", "/tanstack"} {
		t.Run("no token by another method or when xAI fails, at "+path, func(t *testing.T) {
			before := len(up.Requests())
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodOptions} {
				if got := s.Do(method, s.URL+path); got.StatusCode != http.StatusNotFound || got.Body != "" {
					t.Errorf("%s got %d %q, want 404", method, got.StatusCode, got.Body)
				}
			}
			if got := s.Do(http.MethodPost, s.URL+path, "Origin", exampleEvil); got.StatusCode != http.StatusForbidden || got.Body != "" {
				t.Errorf("a page of another site got %d %q, want 403", got.StatusCode, got.Body)
			}
			if minted := len(up.Requests()) - before; minted != 0 {
				t.Errorf("%d tokens were minted", minted)
			}
			up.Script(sandbox.Status(http.StatusUnauthorized))
			got := s.Do(http.MethodPost, s.URL+path)
			if got.StatusCode != http.StatusBadGateway || got.Body != "" || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %q %v, want 502", got.StatusCode, got.Body, got.Header)
			}
		})
	}
}

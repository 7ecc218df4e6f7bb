// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

func TestMint(t *testing.T) {
	for _, test := range []struct {
		name   string
		apiKey string // of the sandbox
		method string
		header http.Header // replaces the usual ones
		body   string

		status  int
		shape   string // of the error
		message string // a part of it
		seconds int    // that the token lives
	}{
		{name: "a token lives as long as asked", body: `{"expires_after":{"seconds":300}}`, status: 200, seconds: 300},
		{name: "a second is enough", body: `{"expires_after":{"seconds":1}}`, status: 200, seconds: 1},
		{name: "an hour is allowed", body: `{"expires_after":{"seconds":3600}}`, status: 200, seconds: 3600},
		{name: "ten minutes without expires_after", body: `{}`, status: 200, seconds: 600},
		{name: "ten minutes without seconds", body: `{"expires_after":{}}`, status: 200, seconds: 600},
		{name: "a model", body: `{"session":{"model":"grok-voice-latest"}}`, status: 200, seconds: 600},
		{name: "an empty session", body: `{"session":{}}`, status: 200, seconds: 600},
		{name: "no effort", body: `{"session":{"reasoning":{"effort":"none"}}}`, status: 200, seconds: 600},
		{name: "high effort", body: `{"session":{"reasoning":{"effort":"high"}}}`, status: 200, seconds: 600},
		{name: "a charset", header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, body: `{}`, status: 200, seconds: 600},
		{name: "the right key", apiKey: "some-key", body: `{}`, status: 200, seconds: 600},
		{name: "a lower case scheme", apiKey: "some-key", header: http.Header{"Authorization": {"bearer some-key"}}, body: `{}`, status: 200, seconds: 600},

		{name: "GET", method: http.MethodGet, status: 405, shape: "flat", message: "POST"},
		{name: "PUT", method: http.MethodPut, body: `{}`, status: 405, shape: "flat", message: "POST"},
		{name: "no key", header: http.Header{"Authorization": nil}, body: `{}`, status: 401, shape: "flat", message: "No credentials presented."},
		{name: "an empty key", header: http.Header{"Authorization": {"Bearer "}}, body: `{}`, status: 401, shape: "flat", message: "No credentials presented."},
		{name: "another scheme", header: http.Header{"Authorization": {"Basic some-key"}}, body: `{}`, status: 401, shape: "flat", message: "No credentials presented."},
		{name: "another key", apiKey: "other-key", body: `{}`, status: 400, shape: "flat", message: "Incorrect API key provided: so***ey. You can obtain an API key from https://console.x.ai."},
		{name: "the beginning of the key", apiKey: "some-key-and-more", body: `{}`, status: 400, shape: "flat", message: "Incorrect API key provided: so***ey. You can obtain an API key from https://console.x.ai."},
		{name: "no content type", header: http.Header{"Content-Type": nil}, body: `{}`, status: 415, shape: "flat", message: "application/json"},
		{name: "a form", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body: `{}`, status: 415, shape: "flat", message: "application/json"},

		{name: "no body", status: 400, shape: "nested", message: "the body must be a JSON object"},
		{name: "half a body", body: `{"expires_after":`, status: 400, shape: "nested", message: "the body"},
		{name: "null", body: `null`, status: 400, shape: "nested", message: "the body must be a JSON object"},
		{name: "a list", body: `[]`, status: 400, shape: "nested", message: "the body must be a JSON object"},
		{name: "two bodies", body: `{}{}`, status: 400, shape: "nested", message: "more data"},
		{name: "data after the body", body: `{} x`, status: 400, shape: "nested", message: "more data"},
		{name: "an unknown field", body: `{"voice":"ara"}`, status: 400, shape: "nested", message: `"voice"`},
		{name: "an anchor", body: `{"expires_after":{"anchor":"created_at","seconds":300}}`, status: 400, shape: "nested", message: `expires_after: unknown field "anchor"`},
		{name: "an unknown field in expires_after", body: `{"expires_after":{"minutes":5}}`, status: 400, shape: "nested", message: `"minutes"`},
		{name: "expires_after is no object", body: `{"expires_after":300}`, status: 400, shape: "nested", message: "expires_after must be"},
		{name: "expires_after is null", body: `{"expires_after":null}`, status: 400, shape: "nested", message: "expires_after must be"},
		{name: "no time at all", body: `{"expires_after":{"seconds":0}}`, status: 400, shape: "nested", message: "from 1 to 3600"},
		{name: "a negative time", body: `{"expires_after":{"seconds":-1}}`, status: 400, shape: "nested", message: "from 1 to 3600"},
		{name: "more than an hour", body: `{"expires_after":{"seconds":3601}}`, status: 400, shape: "nested", message: "from 1 to 3600"},
		{name: "a fraction", body: `{"expires_after":{"seconds":1.5}}`, status: 400, shape: "nested", message: "seconds"},
		{name: "a time as a string", body: `{"expires_after":{"seconds":"300"}}`, status: 400, shape: "nested", message: "seconds"},
		{name: "a session that is no object", body: `{"session":"x"}`, status: 400, shape: "nested", message: "session must be"},
		{name: "a session that is null", body: `{"session":null}`, status: 400, shape: "nested", message: "session must be"},
		{name: "an unknown field in the session", body: `{"session":{"voice":"ara"}}`, status: 400, shape: "nested", message: `session: unknown field "voice"`},
		{name: "a model that is no string", body: `{"session":{"model":1}}`, status: 400, shape: "nested", message: "model"},
		{name: "medium effort", body: `{"session":{"reasoning":{"effort":"medium"}}}`, status: 400, shape: "nested", message: "effort"},
		{name: "reasoning without effort", body: `{"session":{"reasoning":{}}}`, status: 400, shape: "nested", message: "effort"},
		{name: "reasoning that is no object", body: `{"session":{"reasoning":"high"}}`, status: 400, shape: "nested", message: "reasoning must be"},
		{name: "a body of 64 KiB", body: "{" + strings.Repeat(" ", maxBody-2) + "}", status: 200, seconds: 600},
		{name: "a larger body", body: "{" + strings.Repeat(" ", maxBody-1) + "}", status: 413, shape: "nested", message: "larger"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := start(t, &Server{APIKey: test.apiKey})
			r := mintingRequest(t.Context(), t, server.URL)
			if test.method != "" {
				r.Method = test.method
			}
			maps.Copy(r.Header, test.header)
			bodied := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(test.body))
			r.Body, r.ContentLength = bodied.Body, bodied.ContentLength

			before := time.Now()
			got := do(t, server, r)
			after := time.Now()
			if got.status != test.status {
				t.Fatalf("got status %d, want %d: %s", got.status, test.status, got.body)
			}
			if got.status == http.StatusMethodNotAllowed && got.header.Get("Allow") != "POST" {
				t.Errorf("Allow is %q, want POST", got.header.Get("Allow"))
			}
			if test.shape != "" {
				shape, message := errorOf(t, got)
				if shape != test.shape || !strings.Contains(message, test.message) {
					t.Errorf("got a %s error %q, want a %s one that contains %q", shape, message, test.shape, test.message)
				}
				return
			}
			if contentType := got.header.Get("Content-Type"); contentType != "application/json" {
				t.Errorf("got content type %q", contentType)
			}
			token, expires := mintedBy(t, got)
			if secret, ok := strings.CutPrefix(token, "xai-realtime-client-secret-"); !ok || len(secret) < 20 {
				t.Errorf("got token %q", token)
			}
			lifetime := time.Duration(test.seconds) * time.Second
			if expires.Before(before.Add(lifetime).Truncate(time.Second)) || expires.After(after.Add(lifetime)) {
				t.Errorf("the token expires at %v, want %v from now", expires, lifetime)
			}
		})
	}
}

func TestTokensDiffer(t *testing.T) {
	s := new(Server)
	if one, two := mintToken(t, s), mintToken(t, s); one == two {
		t.Errorf("%s was minted twice", one)
	}
}

func TestUnknownPaths(t *testing.T) {
	server := start(t, new(Server))
	for _, path := range []string{"/", "/v1", "/v1/realtime/", "/v1/realtime/client_secrets/", "/v1/stt"} {
		r := mintingRequest(t.Context(), t, server.URL)
		r.URL.Path = path
		got := do(t, server, r)
		if shape, _ := errorOf(t, got); got.status != http.StatusNotFound || shape != "flat" {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	s := new(Server)
	s.Script(nil, Status(500), Answer(200, "?"))
	server := start(t, s)
	seen := make(map[string]bool)
	for range 4 {
		id := do(t, server, mintingRequest(t.Context(), t, server.URL)).header.Get("x-request-id")
		if uuid.Validate(id) != nil || seen[id] {
			t.Errorf("x-request-id is %q, want a new UUID", id)
		}
		seen[id] = true
	}
}

func TestExpiredTokensAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(Server)
		for range 100 {
			mintToken(t, s) // for 5 minutes
		}
		time.Sleep(4 * time.Minute)
		mintToken(t, s)
		if got := len(s.tokens); got != 101 {
			t.Errorf("%d tokens are known, want 101", got)
		}
		time.Sleep(2 * time.Minute)
		mintToken(t, s)
		if got := len(s.tokens); got != 2 {
			t.Errorf("%d tokens are known, want the 2 that live", got)
		}
	})
}

func TestTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(Server)
		early, late := mintToken(t, s), mintToken(t, s)
		time.Sleep(5*time.Minute - time.Nanosecond)
		if !s.redeem(early) {
			t.Error("a token expired too early")
		}
		time.Sleep(time.Nanosecond)
		if s.redeem(late) {
			t.Error("a token outlived its time")
		}
	})
}

func TestLatency(t *testing.T) {
	t.Run("minting takes as long as it says", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			mintToken(t, &Server{Latency: 3 * time.Second})
			if took := time.Since(begin); took != 3*time.Second {
				t.Errorf("took %v, want 3s", took)
			}
		})
	})
	t.Run("a refusal takes no time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			r := mintingRequest(t.Context(), t, "")
			r.Header.Del("Authorization")
			(&Server{Latency: time.Hour}).ServeHTTP(httptest.NewRecorder(), r)
			if took := time.Since(begin); took != 0 {
				t.Errorf("took %v, want no time", took)
			}
		})
	})
	t.Run("it ends when the client leaves", func(t *testing.T) {
		s := &Server{Latency: time.Hour}
		mustEndWithClient(t, s)
		if len(s.tokens) != 0 {
			t.Error("a token was minted for nobody")
		}
	})
}

// mustEndWithClient sends a request to s that is not going to be answered, leaves
// once all of it has been read, and waits for the handler to end.
func mustEndWithClient(t *testing.T, s *Server) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	handler := watch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = notifying{r.Body, leave}
		s.ServeHTTP(w, r)
	}))
	server := start(t, handler)
	if response, err := server.Client().Do(mintingRequest(ctx, t, server.URL)); err == nil {
		response.Body.Close()
		t.Fatalf("got status %d, want no answer", response.StatusCode)
	}
	if ended := <-handler.done; !errors.Is(ended, http.ErrAbortHandler) {
		t.Errorf("the handler ended with %v, want http.ErrAbortHandler", ended)
	}
}

// notifying is a body that tells when it was read.
type notifying struct {
	io.ReadCloser
	atEnd func()
}

func (n notifying) Read(p []byte) (int, error) {
	count, err := n.ReadCloser.Read(p)
	if err == io.EOF {
		n.atEnd()
	}
	return count, err
}

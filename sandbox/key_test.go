// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestKeysThatMisbehave(t *testing.T) {
	const wrong = "Incorrect API key provided: xa***"
	for _, test := range []struct {
		key        string
		status     int
		retryAfter string
		body       string // a part of it
	}{
		{"xai-sandbox-400", 400, "", `{"code":"Client specified an invalid argument","error":"` + wrong + `00. You can obtain an API key from https://console.x.ai."}`},
		{"xai-sandbox-401", 401, "", `{"code":"unauthenticated:no-credentials","error":"No credentials presented."}`},
		{"xai-sandbox-403", 403, "", `"error":"Your team has no credits left`},
		{"xai-sandbox-422", 422, "", `{"error":{"code":"invalid_argument"`},
		{"xai-sandbox-429", 429, "", `{"code":"Too many requests","error":"You are sending requests too frequently"}`},
		{"xai-sandbox-429-after-7", 429, "7", `{"code":"Too many requests"`},
		{"xai-sandbox-503-after-600", 503, "600", `"error":`},
		{"xai-sandbox-500", 500, "", `"error":`},
		{"xai-sandbox-520", 520, "", `<!DOCTYPE html>`},
		{"xai-sandbox-599", 599, "", `"error":`},
		{"xai-sandbox-garbage", 200, "", `<!DOCTYPE html>`},

		{"xai-sandbox-200", 400, "", wrong},
		{"xai-sandbox-399", 400, "", wrong},
		{"xai-sandbox-600", 400, "", wrong},
		{"xai-sandbox-+429", 400, "", wrong},
		{"xai-sandbox-429-after-", 400, "", wrong},
		{"xai-sandbox-429-after-x", 400, "", wrong},
		{"xai-sandbox-hangs", 400, "", wrong},
		{"xai-sandbox-", 400, "", wrong},
	} {
		t.Run(test.key, func(t *testing.T) {
			// Whatever key the sandbox expects, this one included.
			for _, expected := range []string{"", "other-key", test.key} {
				server := start(t, &Server{APIKey: expected, Latency: time.Hour})
				r := mintingRequest(t.Context(), t, server.URL)
				r.Header.Set("Authorization", "Bearer "+test.key)
				got := do(t, server, r)
				if got.status != test.status || !strings.Contains(got.body, test.body) || got.header.Get("Retry-After") != test.retryAfter {
					t.Errorf("got %d %s with Retry-After %q", got.status, got.body, got.header.Get("Retry-After"))
				}
				if html := strings.HasPrefix(got.header.Get("Content-Type"), "text/html"); html != strings.HasPrefix(got.body, "<") {
					t.Errorf("%s is labeled %q", got.body, got.header.Get("Content-Type"))
				}
			}
		})
	}
}

func TestKeysThatNeverAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := startInBubble(t, new(Server))
		client.Timeout = 24 * time.Hour
		r := mintingRequest(t.Context(), t, "http://sandbox")
		r.Header.Set("Authorization", "Bearer xai-sandbox-hang")
		begin := time.Now()
		response, err := client.Do(r)
		if err == nil {
			response.Body.Close()
			t.Fatalf("got status %d, want no answer", response.StatusCode)
		}
		if took := time.Since(begin); took != client.Timeout {
			t.Errorf("gave up after %v: %v", took, err)
		}
	})
}

func TestKeysThatBreakOff(t *testing.T) {
	server := start(t, new(Server))
	r := mintingRequest(t.Context(), t, server.URL)
	r.Header.Set("Authorization", "Bearer xai-sandbox-reset")
	response, err := server.Client().Do(r)
	if err == nil {
		response.Body.Close()
		t.Fatalf("got status %d, want no answer", response.StatusCode)
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("got error %v, want a connection that ended", err)
	}
}

func TestAShortKeyIsNotRepeated(t *testing.T) {
	recorder := httptest.NewRecorder()
	r := mintingRequest(t.Context(), t, "")
	r.Header.Set("Authorization", "Bearer secret7")
	(&Server{APIKey: "some-key"}).ServeHTTP(recorder, r)
	if recorder.Code != http.StatusBadRequest || !strings.Contains(recorder.Body.String(), "provided: ***. You") {
		t.Errorf("got %d %s", recorder.Code, recorder.Body)
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// TestUpstreamFailures has xAI and the network misbehave in every way that the
// contract names.
func TestUpstreamFailures(t *testing.T) {
	up := caddytest.NewUpstream(t)
	up.APIKey = "" // each case has a key of its own, since refusals are remembered
	s := caddytest.Start(t, up, `
http://SITE {
	xai_ephemeral_token /session {header.X-Key} {
		endpoint UPSTREAM
		rate_limit off
		timeout 900ms
	}
	xai_ephemeral_token /once {header.X-Key} {
		endpoint UPSTREAM
		rate_limit off
		timeout 300ms
		retries 0
	}
	handle_errors {
		respond "{err.message}" {err.status_code}
	}
}
`)
	repeat := func(fault sandbox.Fault, times int) []sandbox.Fault {
		return slices.Repeat([]sandbox.Fault{fault}, times)
	}
	status := sandbox.Status
	tests := []struct {
		name       string
		path       string
		faults     []sandbox.Fault
		status     int
		message    string
		calls      int
		retryAfter string
	}{
		{"our key is unknown", "/session", repeat(status(401), 1), 502, "xAI refused the API key of the server", 1, ""},
		{"our key is blocked", "/session", repeat(status(403), 1), 502, "xAI refused the API key of the server", 1, ""},
		{"a bad request", "/session", repeat(status(400), 1), 502, "xAI refused the request", 1, ""},
		{"an unprocessable request", "/session", repeat(status(422), 1), 502, "xAI refused the request", 1, ""},
		{"not found", "/session", repeat(status(404), 1), 502, "xAI refused the request", 1, ""},
		{"a redirect", "/session", repeat(status(307, "Location", up.URL+"/elsewhere"), 1), 502, "xAI answered with a redirect", 1, ""},
		{"not implemented", "/session", repeat(status(501), 1), 502, "xAI failed", 1, ""},
		{"500 once", "/session", repeat(status(500), 1), 200, "", 2, ""},
		{"502 once", "/session", repeat(status(502), 1), 200, "", 2, ""},
		{"503 once", "/session", repeat(status(503), 1), 200, "", 2, ""},
		{"504 once", "/session", repeat(status(504), 1), 200, "", 2, ""},
		{"529 once", "/session", repeat(status(529), 1), 200, "", 2, ""},
		{"429 once", "/session", repeat(status(429), 1), 200, "", 2, ""},
		{"500 twice", "/session", repeat(status(500), 2), 200, "", 3, ""},
		{"500 without end", "/session", repeat(status(500), 3), 502, "xAI failed", 3, ""},
		{"500 without retries", "/once", repeat(status(500), 1), 502, "xAI failed", 1, ""},
		{"429 without end", "/session", repeat(status(429), 3), 503, "xAI is limiting the rate of requests", 3, ""},
		{"429 with a wait that does not fit", "/session", repeat(status(429, "Retry-After", "7"), 1), 503, "xAI is limiting the rate of requests", 1, "7"},
		{"500 with a wait that does not fit", "/session", repeat(status(500, "Retry-After", "7"), 1), 502, "xAI failed", 1, ""},
		{"429 with a wait, to the last attempt", "/once", repeat(status(429, "Retry-After", "1"), 1), 503, "xAI is limiting the rate of requests", 1, "1"},
		{"connections that break", "/session", repeat(sandbox.Break(), 3), 502, "xAI cannot be reached", 3, ""},
		{"answers that break off", "/session", repeat(sandbox.BreakMidBody(), 3), 502, "xAI cannot be reached", 3, ""},
		{"calls that hang", "/session", repeat(sandbox.Hang(), 3), 504, "xAI did not answer in time", 3, ""},
		{"an answer that takes a while", "/once", repeat(sandbox.Delay(20*time.Millisecond), 1), 200, "", 1, ""},
		{"no JSON", "/session", repeat(sandbox.Answer(200, "<html>"), 1), 502, "xAI sent an unusable answer", 1, ""},
		{"no value", "/session", repeat(sandbox.Answer(200, `{"expires_at":1790000000}`), 1), 502, "xAI sent an unusable answer", 1, ""},
		{"no body", "/session", repeat(sandbox.Answer(204, ""), 1), 502, "xAI sent an unusable answer", 1, ""},
		{"65536 bytes", "/session", repeat(sandbox.Answer(200, padded(64<<10)), 1), 200, "", 1, ""},
		{"65537 bytes", "/session", repeat(sandbox.Answer(200, padded(64<<10+1)), 1), 502, "xAI sent an unusable answer", 1, ""},
		{"a compressed answer", "/session", repeat(compressed(200), 1), 200, "", 1, ""},
		{"a compressed answer that is too large", "/session", repeat(compressed(50<<20), 1), 502, "xAI sent an unusable answer", 1, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(up.Requests())
			up.Script(test.faults...)
			start := time.Now()
			got := s.Do(http.MethodPost, s.URL+test.path, "X-Key", test.name)
			if elapsed := time.Since(start); elapsed > 1900*time.Millisecond {
				t.Errorf("it took %s", elapsed)
			}
			if got.StatusCode != test.status {
				t.Errorf("got %d, want %d", got.StatusCode, test.status)
			}
			if test.status != http.StatusOK && got.Body != test.message {
				t.Errorf("got the message %q, want %q", got.Body, test.message)
			}
			if retryAfter := got.Header.Get("Retry-After"); retryAfter != test.retryAfter {
				t.Errorf("got Retry-After %q, want %q", retryAfter, test.retryAfter)
			}
			calls := up.Requests()[before:]
			if len(calls) != test.calls {
				t.Errorf("xAI was called %d times, want %d", len(calls), test.calls)
			}
			for _, call := range calls {
				if call.Header.Get("X-Client-Request-Id") != calls[0].Header.Get("X-Client-Request-Id") {
					t.Error("a retry has another request id")
				}
			}
		})
	}
}

// padded is a usable answer of a size.
func padded(size int) string {
	const head, tail = `{"value":"xai-realtime-client-secret-x","expires_at":1790000000,"pad":"`, `"}`
	return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
}

// compressed is an answer that has a size once it is decompressed.
func compressed(size int) sandbox.Fault {
	return sandbox.Answer(http.StatusOK, compressedBody(size), "Content-Encoding", "gzip")
}

func compressedBody(size int) string {
	var body bytes.Buffer
	writer := gzip.NewWriter(&body)
	_, _ = writer.Write([]byte(padded(size)))
	_ = writer.Close()
	return body.String()
}

func TestRetryAfterIsHonoured(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off"))
	up.Script(sandbox.Status(http.StatusServiceUnavailable, "Retry-After", "1"))
	start := time.Now()
	caddytest.DecodeToken(t, s.Post())
	if elapsed := time.Since(start); elapsed < time.Second {
		t.Errorf("retried after %s, want 1s at least", elapsed)
	}
}

func TestUpstreamUnreachable(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("timeout 1s"))
	up.ShutDown()
	if got := s.Post(); got.StatusCode != http.StatusBadGateway {
		t.Errorf("got %d, want 502", got.StatusCode)
	}
	entries := s.Logged()
	last := entries[len(entries)-1]
	if last["level"] != "error" || last["upstream_status"] != 0.0 || !strings.Contains(last["upstream_message"].(string), "refused") {
		t.Errorf("logged %v", last)
	}
}

// TestBurstsReuseConnections has more requests wait for xAI at once than Caddy
// keeps connections by default.
func TestBurstsReuseConnections(t *testing.T) {
	const clients = 100
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off"))
	for burst := range 3 {
		release := make(chan struct{})
		held := func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
			<-release
			mint(w, r)
		}
		up.Script(slices.Repeat([]sandbox.Fault{held}, clients)...)
		var group sync.WaitGroup
		for range clients {
			group.Go(func() {
				if _, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session"); err != nil {
					t.Error(err)
				}
			})
		}
		caddytest.Eventually(t, "all calls reached xAI", func() bool { return len(up.Requests()) == (burst+1)*clients })
		close(release)
		group.Wait()
	}
	if n := up.OpenedConnections(); n != clients {
		t.Errorf("%d connections were opened, want %d", n, clients)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off"))
	up.Script(sandbox.Status(http.StatusTemporaryRedirect, "Location", up.URL+"/elsewhere"))
	s.Post()
	if n := len(up.Requests()); n != 1 {
		t.Errorf("%d requests were made, want 1", n)
	}
}

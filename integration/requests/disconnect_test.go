// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package requests

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// dial opens a bare connection to the first site, for clients that misbehave.
func dial(t *testing.T, s *caddytest.Server) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func writeRequest(t *testing.T, s *caddytest.Server, conn net.Conn, method, path, headersAndBody string) {
	t.Helper()
	_, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", method, path, strings.TrimPrefix(s.URL, "http://"), headersAndBody)
	if err != nil {
		t.Fatal(err)
	}
}

// readResponse reads a response and its body.
func readResponse(t *testing.T, reader *bufio.Reader) caddytest.Answer {
	t.Helper()
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := caddytest.ReadAnswer(resp)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestClientGoesAway waits for the call to xAI, leaves, and sees it cancelled.
func TestClientGoesAway(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, strings.ReplaceAll(bodySite, "rate_limit off", "rate_limit 1 1h"))
	tests := []struct{ name, path, rest string }{
		{"without a body", "/session", "\r\n"},
		{"with a body", "/session", "Content-Length: 2\r\n\r\n{}"},
		{"with a body that did not come", "/session", "Content-Length: 2\r\n\r\n"},
		{"with pass_thru", "/page", "\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			called, cancelled := make(chan struct{}), make(chan struct{})
			up.Script(func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
				close(called)
				<-r.Context().Done()
				close(cancelled)
			})
			before := s.Metrics()[`caddy_xai_ephemeral_token_errors_total{reason="client_gone"}`]
			conn := dial(t, s)
			writeRequest(t, s, conn, "POST", test.path, test.rest)
			caddytest.Receive(t, called)
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			caddytest.Receive(t, cancelled)
			caddytest.Eventually(t, "the failure is counted", func() bool {
				return s.Metrics()[`caddy_xai_ephemeral_token_errors_total{reason="client_gone"}`] == before+1
			})
			entries := s.Logged()
			if last := entries[len(entries)-1]; last["level"] != "debug" || last["status"] != 499.0 {
				t.Errorf("logged %v", last)
			}
		})
	}
	t.Run("it cost nothing of the limit", func(t *testing.T) {
		caddytest.DecodeToken(t, s.Post())
	})
}

// TestHalfClosedConnection has what docs/troubleshooting.md says of clients that close
// their half of the connection: to Go they have left.
func TestHalfClosedConnection(t *testing.T) {
	up := caddytest.NewUpstream(t)
	up.Latency = time.Second
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off"))
	conn := dial(t, s)
	writeRequest(t, s, conn, "POST", "/session", "\r\n")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := readResponse(t, bufio.NewReader(conn)); got.StatusCode != 499 {
		t.Errorf("got %d", got.StatusCode)
	}
}

func TestClientGoesAwayDuringBackOff(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off"))
	answered := make(chan struct{})
	up.Script(func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
		sandbox.Status(http.StatusServiceUnavailable, "Retry-After", "5")(w, r, mint)
		close(answered)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-answered
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/session", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := s.Client.Do(req); err == nil {
		defer resp.Body.Close()
		t.Fatalf("got %d", resp.StatusCode)
	}
	caddytest.Eventually(t, "the request ended", func() bool {
		entries := s.Logged()
		return len(entries) > 0 && entries[len(entries)-1]["status"] == 499.0
	})
	if n := len(up.Requests()); n != 1 {
		t.Errorf("xAI was called %d times, want 1", n)
	}
}

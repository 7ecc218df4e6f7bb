// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// dial opens a bare connection to the first site, for clients that misbehave.
func (s *caddyServer) dial() net.Conn {
	s.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

func (s *caddyServer) writeRequest(conn net.Conn, method, path, headersAndBody string) {
	s.t.Helper()
	_, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", method, path, strings.TrimPrefix(s.url, "http://"), headersAndBody)
	if err != nil {
		s.t.Fatal(err)
	}
}

const bodySite = `
http://SITE {
	xai_ephemeral_token /session ` + testKey + ` {
		endpoint UPSTREAM
		rate_limit off
	}
	xai_ephemeral_token /page ` + testKey + ` {
		endpoint UPSTREAM
		rate_limit off
		pass_thru
	}
	request_body /limited {
		max_size 4
	}
	xai_ephemeral_token /limited ` + testKey + ` {
		endpoint UPSTREAM
		rate_limit off
	}
	respond /page "page"
}
`

// TestAnnouncedBody sends less of a body than was announced, and more than is
// useful. Neither holds the answer up.
func TestAnnouncedBody(t *testing.T) {
	up := newUpstream(t)
	s := startCaddy(t, up, bodySite)
	tests := []struct {
		name, method, path, rest string
		status                   int
		reusable                 bool // whether the connection stays open
	}{
		{"no body", "POST", "/session", "\r\n", 200, true},
		{"a body that is there", "POST", "/session", "Content-Length: 2\r\n\r\n{}", 200, true},
		{"a chunked body that is there", "POST", "/session", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200, true},
		{"a body that never comes", "POST", "/session", "Content-Length: 2\r\n\r\n", 200, false},
		{"half of a body", "POST", "/session", "Content-Length: 2\r\n\r\n{", 200, false},
		{"a chunked body that never ends", "POST", "/session", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", 200, false},
		{"a refused request with a body", "PUT", "/session", "Content-Length: 2\r\n\r\n{}", 405, true},
		{"a refused request whose body never comes", "PUT", "/session", "Content-Length: 2\r\n\r\n", 405, false},
		{"a preflight whose body never comes", "OPTIONS", "/session", "Origin: https://a.com\r\nAccess-Control-Request-Method: POST\r\nContent-Length: 2\r\n\r\n", 403, false},
		{"a body over the limit that never comes", "POST", "/limited", "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", 200, false},
		{"a refused request with pass_thru whose body never comes", "POST", "/page", "Sec-Fetch-Site: cross-site\r\nContent-Length: 2\r\n\r\n", 403, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn := s.dial()
			reader := bufio.NewReader(conn)
			start := time.Now()
			s.writeRequest(conn, test.method, test.path, test.rest)
			resp := readResponse(t, reader)
			if resp.StatusCode != test.status {
				t.Errorf("got %d, want %d", resp.StatusCode, test.status)
			}
			if elapsed := time.Since(start); elapsed > 2*time.Second {
				t.Errorf("the answer took %s", elapsed)
			}
			if resp.Close == test.reusable {
				t.Errorf("Connection: close is %t", resp.Close)
			}
			if !test.reusable {
				return
			}
			s.writeRequest(conn, "POST", "/session", "\r\n")
			if again := readResponse(t, reader); again.StatusCode != http.StatusOK {
				t.Errorf("the next request got %d", again.StatusCode)
			}
		})
	}
	t.Run("megabytes", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/session", bytes.NewReader(make([]byte, 4<<20)))
		if err != nil {
			t.Fatal(err)
		}
		decodeToken(t, s.send(req))
	})
}

// TestLateBody sends a body just after the answer is known. The error page that
// follows comes from a backend, which takes its time: the deadline for the body
// must not cut it off, nor must the backend be promised the body.
func TestLateBody(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(400 * time.Millisecond): // longer than Caddy is ready to wait for the body
			_, _ = io.WriteString(w, "an error page")
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(page.Close)
	s := startCaddy(t, newUpstream(t), bodySite[:strings.LastIndex(bodySite, "}")]+`
	handle_errors {
		reverse_proxy `+page.URL+`
	}
}
`)
	conn := s.dial()
	s.writeRequest(conn, "PUT", "/session", "Content-Length: 2\r\n\r\n")
	time.Sleep(30 * time.Millisecond) // a slow client, not a wait for anything
	if _, err := io.WriteString(conn, "{}"); err != nil {
		t.Fatal(err)
	}
	if resp := readResponse(t, bufio.NewReader(conn)); resp.StatusCode != http.StatusOK || resp.body != "an error page" {
		t.Errorf("got %d %q, want the error page", resp.StatusCode, resp.body)
	}
}

// readResponse reads a response and its body.
func readResponse(t *testing.T, reader *bufio.Reader) answer {
	t.Helper()
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(body)}
}

// TestClientGoesAway waits for the call to xAI, leaves, and sees it cancelled.
func TestClientGoesAway(t *testing.T) {
	up := newUpstream(t)
	s := startCaddy(t, up, strings.ReplaceAll(bodySite, "rate_limit off", "rate_limit 1 1h"))
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
			before := s.metricValues()[`caddy_xai_ephemeral_token_errors_total{reason="client_gone"}`]
			conn := s.dial()
			s.writeRequest(conn, "POST", test.path, test.rest)
			receive(t, called)
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			receive(t, cancelled)
			eventually(t, "the failure is counted", func() bool {
				return s.metricValues()[`caddy_xai_ephemeral_token_errors_total{reason="client_gone"}`] == before+1
			})
			entries := s.logged()
			if last := entries[len(entries)-1]; last["level"] != "debug" || last["status"] != 499.0 {
				t.Errorf("logged %v", last)
			}
		})
	}
	t.Run("it cost nothing of the limit", func(t *testing.T) {
		decodeToken(t, s.post())
	})
}

func receive(t *testing.T, signal <-chan struct{}) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(10 * time.Second):
		t.Fatal("timed out")
	}
}

func TestClientGoesAwayDuringBackOff(t *testing.T) {
	up := newUpstream(t)
	s := startCaddy(t, up, simpleSite)
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
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/session", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := s.client.Do(req); err == nil {
		defer resp.Body.Close()
		t.Fatalf("got %d", resp.StatusCode)
	}
	eventually(t, "the request ended", func() bool {
		entries := s.logged()
		return len(entries) > 0 && entries[len(entries)-1]["status"] == 499.0
	})
	if n := len(up.requests()); n != 1 {
		t.Errorf("xAI was called %d times, want 1", n)
	}
}

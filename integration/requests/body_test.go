// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package requests

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

const bodySite = `
http://SITE {
	xai_ephemeral_token /session ` + caddytest.Key + ` {
		endpoint UPSTREAM
		rate_limit off
	}
	xai_ephemeral_token /page ` + caddytest.Key + ` {
		endpoint UPSTREAM
		rate_limit off
		pass_thru
	}
	request_body /limited {
		max_size 4
	}
	xai_ephemeral_token /limited ` + caddytest.Key + ` {
		endpoint UPSTREAM
		rate_limit off
	}
	respond /page "page"
}
`

// TestAnnouncedBody sends less of a body than was announced, and more than is
// useful. Neither holds the answer up.
func TestAnnouncedBody(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, bodySite)
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
			conn := dial(t, s)
			reader := bufio.NewReader(conn)
			start := time.Now()
			writeRequest(t, s, conn, test.method, test.path, test.rest)
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
			writeRequest(t, s, conn, "POST", "/session", "\r\n")
			if again := readResponse(t, reader); again.StatusCode != http.StatusOK {
				t.Errorf("the next request got %d", again.StatusCode)
			}
		})
	}
	t.Run("megabytes", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/session", bytes.NewReader(make([]byte, 4<<20)))
		if err != nil {
			t.Fatal(err)
		}
		caddytest.DecodeToken(t, s.Send(req))
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
	s := caddytest.Start(t, caddytest.NewUpstream(t), bodySite[:strings.LastIndex(bodySite, "}")]+`
	handle_errors {
		reverse_proxy `+page.URL+`
	}
}
`)
	conn := dial(t, s)
	writeRequest(t, s, conn, "PUT", "/session", "Content-Length: 2\r\n\r\n")
	time.Sleep(30 * time.Millisecond) // a slow client, not a wait for anything
	if _, err := io.WriteString(conn, "{}"); err != nil {
		t.Fatal(err)
	}
	if resp := readResponse(t, bufio.NewReader(conn)); resp.StatusCode != http.StatusOK || resp.Body != "an error page" {
		t.Errorf("got %d %q, want the error page", resp.StatusCode, resp.Body)
	}
}

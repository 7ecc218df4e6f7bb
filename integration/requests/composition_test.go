// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package requests

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// TestErrorsAsJSON has handle_errors put each error into JSON without escaping.
func TestErrorsAsJSON(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, `
http://SITE {
	xai_ephemeral_token /session `+caddytest.Key+` {
		endpoint UPSTREAM
		timeout 300ms
		retries 0
		rate_limit 1 1h {header.X-User}
	}
	xai_ephemeral_token /keyed {header.X-Key} {
		endpoint UPSTREAM
	}
	xai_ephemeral_token /page `+caddytest.Key+` {
		endpoint UPSTREAM
		retries 0
		pass_thru
	}
	handle_errors {
		header Content-Type application/json
		respond `+"`"+`{"status": {err.status_code}, "error": "{err.message}"}`+"`"+` {err.status_code}
	}
}
`)
	status := sandbox.Status
	garbage := sandbox.Answer(http.StatusBadRequest, `{"error": "\"quoted\"\n\u0000 {env.HOME}"}`)
	tests := []struct {
		name, method, path string
		header             []string
		fault              sandbox.Fault
		status             int
		message            string
	}{
		{"cross-origin", "POST", "/session", []string{"Origin", `https://evil".example.com`}, nil, 403, "cross-origin request refused"},
		{"another method", "PUT", "/session", nil, nil, 405, "method not allowed"},
		{"over the limit", "POST", "/session", []string{"X-User", "used up"}, nil, 429, "too many requests"},
		{"no key", "POST", "/keyed", nil, nil, 500, "the server has no usable API key"},
		{"a key that is no header", "POST", "/keyed", []string{"X-Key", "a\tb\x80\"\\"}, status(401), 502, "xAI refused the API key of the server"},
		{"a bad key", "POST", "/keyed", []string{"X-Key", "revoked"}, status(401), 502, "xAI refused the API key of the server"},
		{"a bad request", "POST", "/session", nil, garbage, 502, "xAI refused the request"},
		{"a redirect", "POST", "/session", nil, status(302, "Location", `/"`), 502, "xAI answered with a redirect"},
		{"xAI is down", "POST", "/session", nil, status(500), 502, "xAI failed"},
		{"xAI breaks off", "POST", "/session", nil, sandbox.BreakMidBody(), 502, "xAI cannot be reached"},
		{"xAI talks nonsense", "POST", "/session", nil, sandbox.Answer(200, `"`), 502, "xAI sent an unusable answer"},
		{"xAI is limiting us", "POST", "/session", nil, status(429), 503, "xAI is limiting the rate of requests"},
		{"xAI hangs", "POST", "/session", nil, sandbox.Hang(), 504, "xAI did not answer in time"},
		{"with pass_thru", "POST", "/page", nil, status(500), 502, "xAI failed"},
	}
	caddytest.DecodeToken(t, s.Post("X-User", "used up"))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.fault != nil {
				up.Script(test.fault)
			}
			got := s.Do(test.method, s.URL+test.path, test.header...)
			var body struct {
				Status int
				Error  string
			}
			if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
				t.Fatalf("%q is no JSON: %v", got.Body, err)
			}
			if got.StatusCode != test.status || body.Status != test.status || body.Error != test.message {
				t.Errorf("got %d %s, want %d %q", got.StatusCode, got.Body, test.status, test.message)
			}
			if got.Header.Get("Cache-Control") != "no-store" {
				t.Error("the error may be cached")
			}
			if hasRetryAfter := got.Header.Get("Retry-After") != ""; hasRetryAfter != (test.status == http.StatusTooManyRequests) {
				t.Errorf("got Retry-After %q", got.Header.Get("Retry-After"))
			}
		})
	}
}

// TestDirectiveOrder puts the directive wherever a Caddyfile can have it.
func TestDirectiveOrder(t *testing.T) {
	const token = "xai_ephemeral_token /session " + caddytest.Key + " {\nendpoint UPSTREAM\nmethods POST GET\nrate_limit off\n}\n"
	const anywhere = "xai_ephemeral_token " + caddytest.Key + " {\nendpoint UPSTREAM\nrate_limit off\n}\n"
	tests := []struct {
		name, site   string
		method, path string
		status       int
		body         string // instead of a token
	}{
		{"alone", token, "POST", "/session", 200, ""},
		{"alone, another path", token, "POST", "/session/more", 200, "-"},
		{"without a matcher", anywhere, "POST", "/anything", 200, ""},
		{"in route", "route {\n" + token + "respond later\n}", "POST", "/session", 200, ""},
		{"in route, after respond", "route {\nrespond earlier\n" + token + "}", "POST", "/session", 200, "earlier"},
		{"in handle", "handle /session {\n" + anywhere + "}\nhandle {\nrespond rest\n}", "POST", "/session", 200, ""},
		{"in handle, another path", "handle /session {\n" + anywhere + "}\nhandle {\nrespond rest\n}", "POST", "/other", 200, "rest"},
		{"in handle_path", "handle_path /api/* {\n" + token + "}", "POST", "/api/session", 200, ""},
		{"in handle_path, without the prefix", "handle_path /api/* {\n" + token + "}", "POST", "/session", 200, "-"},
		{"before respond", "respond rest\n" + token, "POST", "/session", 200, ""},
		{"before respond, another path", "respond rest\n" + token, "POST", "/other", 200, "rest"},
		{"before reverse_proxy", "reverse_proxy SITE2\n" + token, "POST", "/session", 200, ""},
		{"before reverse_proxy, another path", "reverse_proxy SITE2\n" + token, "POST", "/other", 200, "backend"},
		{"before file_server", "root DIR\nfile_server\n" + token, "GET", "/session", 200, ""},
		{"before file_server, another file", "root DIR\nfile_server\n" + token, "GET", "/other", 200, "a file"},
		{"after a redirect", "redir /session /elsewhere 302\n" + token, "POST", "/session", 302, ""},
		{"after a rewrite", "rewrite /old /session\n" + token, "POST", "/old", 200, ""},
		{"hidden by a handle for all", "handle {\nrespond rest\n}\n" + token, "POST", "/session", 200, "rest"},
		{"in a route of a route", "route {\nroute {\n" + token + "}\n}\nrespond rest", "POST", "/session", 200, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			up := caddytest.NewUpstream(t)
			s := caddytest.Start(t, up, "http://SITE {\n"+test.site+"\n}\nhttp://SITE2 {\nrespond backend\n}\n")
			s.WriteFile("session", "a file")
			s.WriteFile("other", "a file")
			got := s.Do(test.method, s.URL+test.path)
			minted := len(up.Requests())
			if test.status == http.StatusOK && test.body == "" {
				caddytest.DecodeToken(t, got)
				if minted != 1 {
					t.Errorf("%d tokens were minted, want 1", minted)
				}
				return
			}
			if got.StatusCode != test.status || got.Body != strings.TrimPrefix(test.body, "-") {
				t.Errorf("got %d %q, want %d %q", got.StatusCode, got.Body, test.status, test.body)
			}
			if minted != 0 {
				t.Errorf("%d tokens were minted, want none", minted)
			}
		})
	}
}

// TestSeveralHandlers has two handlers in one site that share nothing.
func TestSeveralHandlers(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, `
http://SITE {
	xai_ephemeral_token /short `+caddytest.Key+` {
		endpoint UPSTREAM
		expires_after 30s
		rate_limit 1 1h
	}
	xai_ephemeral_token /long `+caddytest.Key+` {
		endpoint UPSTREAM
		expires_after 1h
		rate_limit 1 1h
	}
}
`)
	for path, want := range map[string]string{"/short": "30", "/long": "3600"} {
		caddytest.DecodeToken(t, s.Do(http.MethodPost, s.URL+path))
		requests := up.Requests()
		if sent := requests[len(requests)-1].Body; sent != `{"expires_after":{"seconds":`+want+`}}` {
			t.Errorf("%s sent %s", path, sent)
		}
		if got := s.Do(http.MethodPost, s.URL+path); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("%s answered %d, want 429", path, got.StatusCode)
		}
	}
}

func TestTokenInTemplate(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, `
http://SITE {
	root DIR/www
	xai_ephemeral_token /page.html `+caddytest.Key+` {
		endpoint UPSTREAM
		methods GET
		pass_thru
	}
	templates
	file_server
}
`)
	if err := os.Mkdir(filepath.Join(s.Dir, "www"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.WriteFile("www/page.html", `<script>let token = "{{placeholder "http.xai_ephemeral_token.value"}}", `+
		`expires = {{placeholder "http.xai_ephemeral_token.expires_at"}}</script>`)
	s.WriteFile("www/plain.html", `<p>[{{placeholder "http.xai_ephemeral_token.value"}}]</p>`)

	t.Run("a page holds the token and is not cached", func(t *testing.T) {
		up.Script(sandbox.Answer(http.StatusOK, `{"value":"xai-realtime-client-secret-x","expires_at":1790000000}`))
		got := s.Do(http.MethodGet, s.URL+"/page.html")
		const want = `<script>let token = "xai-realtime-client-secret-x", expires = 1790000000</script>`
		if got.StatusCode != http.StatusOK || got.Body != want {
			t.Errorf("got %d %s, want %s", got.StatusCode, got.Body, want)
		}
		if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Etag") != "" || got.Header.Get("Last-Modified") != "" {
			t.Errorf("the page may be cached: %v", got.Header)
		}
		if got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("Content-Type is %q", got.Header.Get("Content-Type"))
		}
	})
	t.Run("each visit gets a token of its own", func(t *testing.T) {
		first, second := s.Do(http.MethodGet, s.URL+"/page.html"), s.Do(http.MethodGet, s.URL+"/page.html")
		if first.StatusCode != http.StatusOK || first.Body == second.Body {
			t.Errorf("got %d and the same page twice", first.StatusCode)
		}
	})
	t.Run("another page holds none", func(t *testing.T) {
		before := len(up.Requests())
		got := s.Do(http.MethodGet, s.URL+"/plain.html")
		if got.Body != "<p>[]</p>" || got.Header.Get("Cache-Control") != "" || len(up.Requests()) != before {
			t.Errorf("got %s with Cache-Control %q", got.Body, got.Header.Get("Cache-Control"))
		}
	})
	t.Run("there is no page without a token", func(t *testing.T) {
		up.Script(sandbox.Status(http.StatusUnauthorized))
		if got := s.Do(http.MethodGet, s.URL+"/page.html"); got.StatusCode != http.StatusBadGateway || got.Body != "" {
			t.Errorf("got %d %q, want 502", got.StatusCode, got.Body)
		}
	})
}

func TestTokenForBackend(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, `
http://SITE {
	xai_ephemeral_token /call `+caddytest.Key+` {
		endpoint UPSTREAM
		pass_thru
	}
	reverse_proxy SITE2 {
		header_up X-Token {http.xai_ephemeral_token.value}
	}
}
http://SITE2 {
	header X-Got-Token {header.X-Token}
	header X-Got {method}:{header.Content-Type}:{header.Content-Length}
	respond {http.request.body}
}
`)
	bodies := map[string]string{
		"none":                "",
		"JSON":                `{"placeholder": "{env.HOME}", "n": 9007199254740993}`,
		"more than fits once": strings.Repeat("0123456789abcdef", 1<<15),
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/call", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-test")
			req.Header.Set("X-Token", "forged")
			got := s.Send(req)
			if got.StatusCode != http.StatusOK || got.Body != body {
				t.Errorf("got %d and %d bytes, want the %d bytes of the client", got.StatusCode, len(got.Body), len(body))
			}
			if want := fmt.Sprintf("POST:application/x-test:%d", len(body)); got.Header.Get("X-Got") != want {
				t.Errorf("the backend got %q, want %q", got.Header.Get("X-Got"), want)
			}
			if token := got.Header.Get("X-Got-Token"); !strings.HasPrefix(token, "xai-realtime-client-secret-") {
				t.Errorf("the backend got the token %q", token)
			}
			if got.Header.Get("Cache-Control") != "no-store" {
				t.Error("the answer may be cached")
			}
			for _, sent := range up.Requests() {
				if sent.Body != `{"expires_after":{"seconds":300}}` {
					t.Errorf("xAI was sent %q", sent.Body)
				}
			}
		})
	}
	t.Run("retries do not cost the body", func(t *testing.T) {
		up.Script(sandbox.Break(), sandbox.Status(http.StatusInternalServerError))
		body := bodies["more than fits once"]
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/call", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Send(req); got.StatusCode != http.StatusOK || got.Body != body {
			t.Errorf("got %d and %d bytes, want 200 and %d", got.StatusCode, len(got.Body), len(body))
		}
	})
	t.Run("the backend is not asked without a token", func(t *testing.T) {
		up.Script(sandbox.Status(http.StatusUnauthorized))
		got := s.Do(http.MethodPost, s.URL+"/call")
		if got.StatusCode != http.StatusBadGateway || got.Header.Get("X-Got") != "" {
			t.Errorf("got %d %v, want 502", got.StatusCode, got.Header)
		}
	})
}

func TestEncoded(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, `
http://SITE {
	encode gzip {
		minimum_length 1
	}
	xai_ephemeral_token /session `+caddytest.Key+` {
		endpoint UPSTREAM
	}
}
`)
	const raw = "{ \"value\":\"xai-realtime-client-secret-x\", \"expires_at\": 1790000000 }\n"
	up.Script(sandbox.Answer(http.StatusOK, raw), sandbox.Answer(http.StatusOK, raw))
	for _, body := range []string{"", strings.Repeat("a body that nobody looks at", 1000)} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/session", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "gzip")
		got := s.Send(req)
		if got.Header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("got %d, not compressed: %v", got.StatusCode, got.Header)
		}
		reader, err := gzip.NewReader(strings.NewReader(got.Body))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(reader)
		if err != nil || string(plain) != raw {
			t.Errorf("got %q and error %v, want %q", plain, err, raw)
		}
		if got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("got the headers %v", got.Header)
		}
	}
}

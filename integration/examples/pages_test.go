// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

var metaToken = regexp.MustCompile(`<meta name="xai-token" content="([^"]*)">`)

// tokenOf returns the token in a page.
func tokenOf(t *testing.T, page caddytest.Answer) string {
	t.Helper()
	match := metaToken.FindStringSubmatch(page.Body)
	if page.StatusCode != http.StatusOK || match == nil {
		t.Fatalf("got %d %s", page.StatusCode, page.Body)
	}
	if n := strings.Count(page.Body, "xai-realtime-client-secret-"); n > 1 {
		t.Errorf("the page has %d tokens", n)
	}
	return match[1]
}

func TestExampleServerRendered(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := startExample(t, up, "server-rendered", map[string]string{"REALTIME_URL": "ws://realtime.example.com/a?b&c"})

	t.Run("the page has a token that opens one session", func(t *testing.T) {
		page := s.Do(http.MethodGet, s.URL+"/")
		up.MustOpenOneSession(t, tokenOf(t, page))
		if n := len(up.Requests()); n < 1 || up.Requests()[0].Method != http.MethodPost {
			t.Errorf("xAI was asked %d times", n)
		}
		if page.Header.Get("Cache-Control") != "no-store" || page.Header.Get("Etag") != "" || page.Header.Get("Last-Modified") != "" {
			t.Errorf("the page may be cached: %v", page.Header)
		}
		if page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("Content-Type is %q", page.Header.Get("Content-Type"))
		}
		if !strings.Contains(page.Body, `data-realtime="ws://realtime.example.com/a?b&amp;c"`) {
			t.Errorf("the page does not say where to connect: %s", page.Body)
		}
	})
	t.Run("the next visit gets another", func(t *testing.T) {
		first := tokenOf(t, s.Do(http.MethodGet, s.URL+"/"))
		if second := tokenOf(t, s.Do(http.MethodGet, s.URL+"/")); first == second {
			t.Error("it is the same")
		}
	})
	t.Run("a token with characters of HTML makes no page", func(t *testing.T) {
		up.Script(sandbox.Answer(http.StatusOK, `{"value":"\"><script>&","expires_at":1790000000}`))
		if got := s.Do(http.MethodGet, s.URL+"/"); got.StatusCode != http.StatusBadGateway || got.Body != "" {
			t.Errorf("got %d %q, want 502", got.StatusCode, got.Body)
		}
	})
	t.Run("somebody who follows a link from another site is let in", func(t *testing.T) {
		page := s.Do(http.MethodGet, s.URL+"/", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
		if tokenOf(t, page) == "" {
			t.Error("the page has no token")
		}
	})
	t.Run("a script or a frame of another site gets no page", func(t *testing.T) {
		for _, dest := range []string{"empty", "iframe"} {
			page := s.Do(http.MethodGet, s.URL+"/", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", dest, "Origin", exampleEvil)
			if page.StatusCode != http.StatusForbidden || page.Body != "" {
				t.Errorf("got %d %q, want 403", page.StatusCode, page.Body)
			}
		}
	})
	t.Run("nothing else has a token or costs one", func(t *testing.T) {
		before := len(up.Requests())
		if token := tokenOf(t, s.Do(http.MethodGet, s.URL+"/index.html")); token != "" {
			t.Errorf("the page by its file's name has the token %q", token)
		}
		for _, path := range []string{"/page.js", "/missing"} {
			if got := s.Do(http.MethodGet, s.URL+path); strings.Contains(got.Body, "xai-realtime-client-secret-") {
				t.Errorf("%s has a token", path)
			}
		}
		s.Do(http.MethodHead, s.URL+"/")
		if minted := len(up.Requests()) - before; minted != 0 {
			t.Errorf("%d tokens were minted", minted)
		}
	})
	t.Run("there is no page without a token", func(t *testing.T) {
		up.Script(sandbox.Status(http.StatusUnauthorized))
		if got := s.Do(http.MethodGet, s.URL+"/"); got.StatusCode != http.StatusBadGateway || got.Body != "" {
			t.Errorf("got %d %q, want 502", got.StatusCode, got.Body)
		}
	})
}

func TestExampleCrossOrigin(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := startExample(t, up, "cross-origin", map[string]string{
		"APP_ORIGIN": "http://SITE", "API_ORIGIN": "http://SITE2", "AUTH_ADDRESS": newIdentityProvider(t),
	})
	app, endpoint := s.URL, s.URL2+"/session"
	const ask = "Access-Control-Request-Method"

	t.Run("the app knows its endpoint", func(t *testing.T) {
		page, script := s.Do(http.MethodGet, app+"/"), s.Do(http.MethodGet, app+"/app.js")
		if !strings.Contains(page.Body, `data-endpoint="`+endpoint+`"`) || !strings.Contains(script.Body, `credentials: "include"`) {
			t.Errorf("got %s\n%s", page.Body, script.Body)
		}
	})
	for _, test := range []struct {
		name, method string
		header       []string
		status       int
		allowed      string
	}{
		{"the app's preflight", "OPTIONS", []string{"Origin", app, ask, "POST"}, 204, app},
		{"another site's preflight", "OPTIONS", []string{"Origin", exampleEvil, ask, "POST"}, 403, ""},
		{"the app, without a cookie", "POST", []string{"Origin", app}, 401, app},
		{"the app, with a cookie", "POST", []string{"Origin", app, "Sec-Fetch-Site", "same-site", "Cookie", "session=alice"}, 200, app},
		{"another site, with a cookie", "POST", []string{"Origin", exampleEvil, "Sec-Fetch-Site", "cross-site", "Cookie", "session=alice"}, 403, ""},
		{"another site, without a cookie", "POST", []string{"Origin", exampleEvil}, 401, ""},
		{"the app's origin as a part of another", "POST", []string{"Origin", app + ".example.com", "Cookie", "session=alice"}, 403, ""},
		{"the endpoint's own origin", "POST", []string{"Origin", s.URL2, "Cookie", "session=alice"}, 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(up.Requests())
			got := s.Do(test.method, endpoint, test.header...)
			if got.StatusCode != test.status {
				t.Errorf("got %d %q, want %d", got.StatusCode, got.Body, test.status)
			}
			want := []string{test.allowed}
			credentials := "true"
			if test.allowed == "" {
				want, credentials = nil, ""
			}
			allowed := got.Header.Values("Access-Control-Allow-Origin")
			// The identity provider of the test has a header of its own.
			if test.name == "another site, without a cookie" {
				want = []string{"https://provider.example.com"}
			}
			if strings.Join(allowed, " ") != strings.Join(want, " ") || got.Header.Get("Access-Control-Allow-Credentials") != credentials {
				t.Errorf("the answer may be read by %q, with credentials: %q", allowed, got.Header.Values("Access-Control-Allow-Credentials"))
			}
			if minted := len(up.Requests()) - before; (minted == 1) != (test.status == http.StatusOK) {
				t.Errorf("%d tokens were minted", minted)
			}
			if test.status == http.StatusOK {
				up.MustOpenOneSession(t, caddytest.DecodeToken(t, got).Value)
			}
		})
	}
	t.Run("the cookie stays here", func(t *testing.T) {
		for _, sent := range up.Requests() {
			if sent.Header.Get("Cookie") != "" {
				t.Fatal("xAI was sent the cookie")
			}
		}
	})
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package requests

import (
	"net/http"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

const crossOriginSite = `
http://SITE {
	xai_ephemeral_token /session ` + caddytest.Key + ` {
		endpoint UPSTREAM
		methods POST GET
		trusted_origins https://app.example.com capacitor://localhost
		rate_limit 1000 1m
	}
	xai_ephemeral_token /page ` + caddytest.Key + ` {
		endpoint UPSTREAM
		methods POST GET
		trusted_origins https://app.example.com
		pass_thru
	}
	respond /page "page"
}
`

func TestCrossOrigin(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, crossOriginSite)
	const app, evil = "https://app.example.com", "https://evil.example.com"
	prefetched := []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Purpose", "prefetch"}

	tests := []struct {
		name, method, path string
		header             []string
		status             int
		allowed            string // Access-Control-Allow-Origin
	}{
		{"an app that sends no such headers", "POST", "/session", nil, 200, ""},
		{"a page of the site", "POST", "/session", []string{"Sec-Fetch-Site", "same-origin", "Origin", s.URL}, 200, ""},
		{"a page of the site in an old browser", "POST", "/session", []string{"Origin", s.URL}, 200, ""},
		{"a user who typed the address", "GET", "/session", []string{"Sec-Fetch-Site", "none"}, 200, ""},
		{"a page of another site", "POST", "/session", []string{"Sec-Fetch-Site", "cross-site", "Origin", evil}, 403, ""},
		{"a page of a sibling site", "POST", "/session", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://evil.example.com"}, 403, ""},
		{"a page of another site in an old browser", "POST", "/session", []string{"Origin", evil}, 403, ""},
		{"a sandboxed page", "POST", "/session", []string{"Sec-Fetch-Site", "cross-site", "Origin", "null"}, 403, ""},
		{"a page of another site that gets", "GET", "/session", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403, ""},
		{"a page of another site that gets, in an old browser", "GET", "/session", []string{"Origin", evil}, 403, ""},
		{"a link from another site, without pass_thru", "GET", "/session", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403, ""},
		{"a trusted origin", "POST", "/session", []string{"Sec-Fetch-Site", "cross-site", "Origin", app}, 200, app},
		{"a trusted origin that gets", "GET", "/session", []string{"Sec-Fetch-Site", "cross-site", "Origin", app}, 200, app},
		{"a trusted app shell", "POST", "/session", []string{"Origin", "capacitor://localhost"}, 200, "capacitor://localhost"},
		{"a trusted origin on another port", "POST", "/session", []string{"Sec-Fetch-Site", "cross-site", "Origin", app + ":8443"}, 403, ""},
		{"a trusted origin over http", "POST", "/session", []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://app.example.com"}, 403, ""},
		{"a trusted origin's error", "PUT", "/session", []string{"Sec-Fetch-Site", "cross-site", "Origin", app}, 405, app},
		{"a link from another site to a page", "GET", "/page", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200, ""},
		{"a frame in another site's page", "GET", "/page", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403, ""},
		{"a form of another site", "POST", "/page", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Origin", evil}, 403, ""},
		{"a script of another site that reads the page", "GET", "/page", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Origin", evil}, 403, ""},
		{"a browser that looks ahead", "GET", "/session", prefetched, 403, ""},
		{"a browser that looks ahead to a page", "GET", "/page", prefetched, 403, ""},
		{"a browser that prepares a page", "GET", "/page", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Purpose", "prefetch;prerender"}, 403, ""},
		{"a browser that looks ahead for the site's own page", "GET", "/session", []string{"Sec-Fetch-Site", "same-origin", "Sec-Purpose", "prefetch"}, 403, ""},
		{"a browser that looks ahead for a trusted origin's page", "GET", "/session", []string{"Sec-Fetch-Site", "cross-site", "Origin", app, "Sec-Purpose", "prefetch"}, 403, app},
		{"an older browser that looks ahead", "GET", "/session", []string{"Purpose", "prefetch"}, 403, ""},
		{"a browser with a purpose among others", "GET", "/session", []string{"Sec-Purpose", "", "Sec-Purpose", "PreFetch; anonymous-client-ip"}, 403, ""},
		{"an image of another site, over http", "GET", "/session", []string{"Referer", "http://evil.example.com/"}, 403, ""},
		{"a link from another site to a page, over http", "GET", "/page", []string{"Referer", "http://evil.example.com/"}, 403, ""},
		{"a page of another port, over http", "GET", "/session", []string{"Referer", "http://127.0.0.1:1/"}, 403, ""},
		{"a page whose address is none, over http", "GET", "/session", []string{"Referer", "://"}, 403, ""},
		{"a page of the site, over http", "GET", "/session", []string{"Referer", s.URL + "/page"}, 200, ""},
		{"a page of a trusted origin, without its name", "GET", "/session", []string{"Referer", app + "/page"}, 200, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(up.Requests())
			got := s.Do(test.method, s.URL+test.path, test.header...)
			if got.StatusCode != test.status {
				t.Errorf("got %d, want %d", got.StatusCode, test.status)
			}
			credentials, exposed := "", ""
			if test.allowed != "" {
				credentials, exposed = "true", "Retry-After, Date"
			}
			for name, want := range map[string]string{
				"Access-Control-Allow-Origin":      test.allowed,
				"Access-Control-Allow-Credentials": credentials,
				"Access-Control-Expose-Headers":    exposed,
				"Vary":                             "Origin",
			} {
				if value := got.Header.Get(name); value != want {
					t.Errorf("%s is %q, want %q", name, value, want)
				}
			}
			if minted := len(up.Requests()) - before; (minted == 1) != (test.status == 200) {
				t.Errorf("%d tokens were minted", minted)
			}
		})
	}
	t.Run("a trusted origin may read when to try again", func(t *testing.T) {
		up.Script(tooMany())
		got := s.Post("Origin", app)
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "60" || got.Header.Get("Access-Control-Allow-Origin") != app {
			t.Errorf("got %d %v", got.StatusCode, got.Header)
		}
	})
}

func tooMany() sandbox.Fault {
	return sandbox.Status(http.StatusTooManyRequests, "Retry-After", "60")
}

func TestPreflight(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, crossOriginSite+`
http://SITE2 {
	xai_ephemeral_token /session `+caddytest.Key+` {
		endpoint UPSTREAM
		trusted_origins https://app.example.com
		rate_limit 1 1h
	}
}
`)
	const app = "https://app.example.com"
	ask := func(url, origin, method string) caddytest.Answer {
		return s.Do(http.MethodOptions, url, "Origin", origin,
			"Access-Control-Request-Method", method, "Access-Control-Request-Headers", "content-type,x-app")
	}

	t.Run("a trusted origin may ask", func(t *testing.T) {
		got := ask(s.URL+"/session", app, "POST")
		if got.StatusCode != http.StatusNoContent || got.Body != "" {
			t.Errorf("got %d %q, want 204", got.StatusCode, got.Body)
		}
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin":      app,
			"Access-Control-Allow-Credentials": "true",
			"Access-Control-Allow-Methods":     "POST, GET",
			"Access-Control-Allow-Headers":     "content-type,x-app",
			"Access-Control-Max-Age":           "7200",
		} {
			if value := got.Header.Get(name); value != want {
				t.Errorf("%s is %q, want %q", name, value, want)
			}
		}
	})
	t.Run("another origin may not", func(t *testing.T) {
		got := ask(s.URL+"/session", "https://evil.example.com", "POST")
		if got.StatusCode != http.StatusForbidden || got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("got %d %v, want 403", got.StatusCode, got.Header)
		}
	})
	t.Run("with pass_thru a trusted origin may ask", func(t *testing.T) {
		if got := ask(s.URL+"/page", app, "GET"); got.StatusCode != http.StatusNoContent {
			t.Errorf("got %d, want 204", got.StatusCode)
		}
	})
	t.Run("with pass_thru other methods are the next handler's", func(t *testing.T) {
		if got := ask(s.URL+"/page", app, "DELETE"); got.StatusCode != http.StatusOK || got.Body != "page" {
			t.Errorf("got %d %q, want the page", got.StatusCode, got.Body)
		}
	})
	t.Run("asking costs nothing of the limit and mints nothing", func(t *testing.T) {
		for range 3 {
			if got := ask(s.URL2+"/session", app, "POST"); got.StatusCode != http.StatusNoContent {
				t.Errorf("got %d, want 204", got.StatusCode)
			}
		}
		if n := len(up.Requests()); n != 0 {
			t.Errorf("%d tokens were minted", n)
		}
		caddytest.DecodeToken(t, s.Do(http.MethodPost, s.URL2+"/session", "Origin", app))
	})
}

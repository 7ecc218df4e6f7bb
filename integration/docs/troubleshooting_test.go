// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestTroubleshooting has the mistakes that docs/troubleshooting.md knows, each with
// what is seen of it and, in the same place, with what is to be written instead.
func TestTroubleshooting(t *testing.T) {
	const line = "\n\txai_ephemeral_token /session\n"
	tests := []struct {
		name, heading string
		site          string
		status        int
		header, value string
		body          string
		instead       string // a site with a token for the same request
	}{
		{
			"try_files changes the path", "405 with `Allow: GET, HEAD`",
			"root * /srv/site\ntry_files {path} /index.html\nfile_server" + line, 405, "Allow", "GET, HEAD", "",
			"root * /srv/site\nhandle /session {\n\txai_ephemeral_token\n}\nhandle {\ntry_files {path} /index.html\nfile_server\n}",
		},
		{
			"a handle beside try_files does not help", "405 with `Allow: GET, HEAD`",
			"root * /srv/site\ntry_files {path} /index.html\nfile_server\nhandle /session {\n\txai_ephemeral_token\n}", 405, "Allow", "GET, HEAD", "",
			"root * /srv/site\n@session vars {http.request.orig_uri.path} /session\ntry_files {path} /index.html\nfile_server\n\txai_ephemeral_token @session",
		},
		{
			"a route without the file", "404",
			"root * /srv/site\nroute {\nfile_server\n}" + line, 404, "Allow", "", "",
			"root * /srv/site\nroute {" + line + "file_server\n}",
		},
		{
			"the app has no such path", "404",
			"handle {\nreverse_proxy SITE2\n}" + line, 404, "Allow", "", "the app has no /session",
			"handle {\nreverse_proxy SITE2" + line + "}",
		},
		{
			"a slash is added", "A redirect",
			"@noslash not path */ *.*\nredir @noslash {path}/ 308" + line, 308, "Location", "/session/", "",
			"@noslash not path */ *.* /session\nredir @noslash {path}/ 308" + line,
		},
		{
			"a handle answers everything", "A page instead of JSON",
			"handle {\nheader Content-Type text/html\nrespond <html>\n}" + line, 200, "Content-Type", "text/html", "<html>",
			"handle {\nheader Content-Type text/html\nrespond <html>" + line + "}",
		},
		{
			"another path", "An empty answer",
			"\txai_ephemeral_token /session/", 200, "Content-Length", "0", "",
			line,
		},
		{
			"a sign-in in front", "401",
			"basic_auth {\nalice " + documentedHash + "\n}" + line, 401, "Www-Authenticate", `Basic realm="restricted"`, "",
			"",
		},
		{
			"no matcher", "The rest of the site is gone",
			"root * /srv/site\nfile_server\n\txai_ephemeral_token {\n\tmethods GET\n\t}", 405, "Allow", "GET", "",
			"root * /srv/site\nfile_server" + line,
		},
	}
	for _, test := range tests {
		t.Run(test.heading+": "+test.name, func(t *testing.T) {
			if _, headings := blocks(t, "docs/troubleshooting.md"); !slices.Contains(headings, test.heading) {
				t.Error("the page has no such heading")
			}
			const app = "\nhttp://SITE2 {\nrespond \"the app has no {uri}\" 404\n}\n"
			onThisMachine := func(site string) string {
				p := newPlacement(t, test.name, "example.com {\n"+site+"\n}\n")
				return strings.Replace(p.with, identityProvider, app, 1)
			}
			up := caddytest.NewUpstream(t)
			s := placement{}.start(t, up, onThisMachine(test.site))
			got := s.Post()
			if got.StatusCode != test.status || got.Header.Get(test.header) != test.value || got.Body != test.body {
				t.Errorf("got %d %q %v, want %d %q, %s: %s", got.StatusCode, got.Body, got.Header, test.status, test.body, test.header, test.value)
			}
			if minted := len(up.Requests()); minted != 0 {
				t.Errorf("%d tokens were minted", minted)
			}
			if test.instead == "" {
				return
			}
			s.Reload(onThisMachine(test.instead))
			caddytest.DecodeToken(t, s.Post())
		})
	}
}

// TestTroubleshootingSites serves the sites that docs/troubleshooting.md shows.
func TestTroubleshootingSites(t *testing.T) {
	all, _ := blocks(t, "docs/troubleshooting.md")
	served := 0
	for _, b := range all {
		if b.language != "caddyfile" {
			continue
		}
		served++
		t.Run(b.heading, func(t *testing.T) {
			p := newPlacement(t, b.String(), b.text)
			path := regexp.MustCompile(`xai_ephemeral_token (\S+)`).FindStringSubmatch(b.text)[1]
			s := p.start(t, caddytest.NewUpstream(t), p.with)
			caddytest.DecodeToken(t, s.Do(http.MethodPost, s.URL+path))
		})
	}
	if served < 2 {
		t.Errorf("there are %d", served)
	}
}

// TestProxies has what docs/access.md says of proxies: one that appends to
// X-Forwarded-For lets clients choose their address, unless Caddy is strict.
func TestProxies(t *testing.T) {
	const trusted = "trusted_proxies static 127.0.0.1/32"
	tests := []struct {
		name, options string
		header        string
		status        int // of the second client that claims to be another
	}{
		{"which appends", trusted, "X-Forwarded-For", 200},
		{"which appends, to a strict Caddy", trusted + "\ntrusted_proxies_strict", "X-Forwarded-For", 429},
		{"which has a header of its own", trusted + "\nclient_ip_headers Cf-Connecting-Ip", "Cf-Connecting-Ip", 200},
		{"which is not trusted", "trusted_proxies static 192.0.2.0/24", "X-Forwarded-For", 429},
		{"which is not trusted, and has a header of its own", "trusted_proxies static 192.0.2.0/24\nclient_ip_headers Cf-Connecting-Ip", "Cf-Connecting-Ip", 429},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := caddytest.StartBy(t, caddytest.NewUpstream(t), func(s *caddytest.Server) error {
				return s.LoadWhole(s.Expand(strings.Replace(caddytest.GlobalOptions, trusted, test.options, 1) +
					"http://SITE {\nxai_ephemeral_token /session " + caddytest.Key + " {\nendpoint UPSTREAM\nrate_limit 1 1h\n}\n}\n"))
			})
			const seen = ", 198.51.100.9" // the address that the proxy saw, and appends
			claims := []string{"203.0.113.1", "203.0.113.2"}
			if test.header == "X-Forwarded-For" {
				claims = []string{claims[0] + seen, claims[1] + seen}
			}
			caddytest.DecodeToken(t, s.Post(test.header, claims[0]))
			if got := s.Post(test.header, claims[1]); got.StatusCode != test.status {
				t.Errorf("got %d, want %d", got.StatusCode, test.status)
			}
		})
	}
}

// TestRebinding has what docs/access.md says of sites without a name: a page of
// another website whose name leads here is of the same origin.
func TestRebinding(t *testing.T) {
	tests := []struct {
		name, site, matcher string
		minted              int
	}{
		{"a site with a port alone", ":PORT", "/session", 1},
		{"a site with a name", "http://SITE", "/session", 0},
		{"a matcher with a name", ":PORT", "@session", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			up := caddytest.NewUpstream(t)
			s := caddytest.Start(t, up, test.site+` {
	@session {
		host 127.0.0.1
		path /session
	}
	xai_ephemeral_token `+test.matcher+` `+caddytest.Key+` {
		endpoint UPSTREAM
	}
}
`)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/session", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Origin", "http://evil.example.com")
			req.Header.Set("Sec-Fetch-Site", "same-origin")
			req.Host = "evil.example.com"
			if got := s.Send(req); got.StatusCode != http.StatusOK || len(up.Requests()) != test.minted {
				t.Errorf("got %d %q, and %d tokens were minted, want %d", got.StatusCode, got.Body, len(up.Requests()), test.minted)
			}
			caddytest.DecodeToken(t, s.Post())
		})
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"strings"
	"testing"
)

// TestSitesWithHeaders has header directives that reach the answer with the token,
// and some that do not.
func TestSitesWithHeaders(t *testing.T) {
	tests := []struct {
		name, header string
		verdict      verdict
		names        string
	}{
		{"at once", "header Cache-Control max-age=60", works, ""},
		{"deferred", "header >Cache-Control max-age=60", header, "Cache-Control"},
		{"by defer", "header {\nCache-Control max-age=60\ndefer\n}", header, "Cache-Control"},
		{"deleted", "header -Cache-Control", header, "Cache-Control"},
		{"all deleted by a wildcard", "header -C*", header, "Cache-Control"},
		{"only when it is not there", "header ?Cache-Control max-age=60", works, ""},
		{"only for a status", "header {\nCache-Control max-age=60\nmatch status 404\n}", works, ""},
		{"for other paths", "header /static/* >Cache-Control max-age=60", works, ""},
		{"for other paths by not", "@static not path /session\nheader @static >Cache-Control max-age=60", works, ""},
		{"for requests with a header", "@old header X-Old yes\nheader @old >Cache-Control max-age=60", works, ""},
		{"with more than no-store", `header >Cache-Control "private, no-store"`, works, ""},
		{"by a placeholder", "header >Cache-Control {vars.cache}", works, ""},
		{"replaced by the outer", "header >Cache-Control no-store\nroute {\nheader >Cache-Control max-age=60\nTOKEN /session {\ntrusted_origins https://app.example.com\n}\n}", works, ""},
		{"security headers", "header {\nX-Frame-Options DENY\nReferrer-Policy no-referrer\n-Server\n}", works, ""},
		{"CORS at once", "header Access-Control-Allow-Origin *", works, ""},
		{"CORS deferred", "header >Access-Control-Allow-Origin *", header, "Access-Control-Allow-Origin"},
		{"CORS deferred for the same origin", "header >Access-Control-Allow-Origin https://app.example.com", works, ""},
		{"CORS deferred for the origin that asks", "header >Access-Control-Allow-Origin {header.Origin}", works, ""},
		{"CORS of other things", "header {\nAccess-Control-Allow-Methods GET\ndefer\n}", works, ""},
	}
	var sites []siteTest
	for _, test := range tests {
		config := "{$SITE_ADDRESS} {\n" + test.header + "\nreverse_proxy {$APP}\n"
		if !strings.Contains(test.header, "TOKEN") {
			config += "TOKEN /session {\ntrusted_origins https://app.example.com\n}\n"
		}
		var names []string
		if test.names != "" {
			names = []string{test.names, "/session"}
		}
		sites = append(sites, siteTest{name: test.name, verdict: test.verdict, names: names, site: config + "}\n"})
	}
	sites = append(sites,
		siteTest{name: "a page behind pass_thru", verdict: header, names: []string{"Cache-Control", "/session"}, site: `
{$SITE_ADDRESS} {
	header {
		-Server
		Cache-Control max-age=3600
	}
	TOKEN /session {
		pass_thru
	}
	reverse_proxy {$APP}
}`},
		siteTest{name: "CORS without trusted origins", verdict: works, site: `
{$SITE_ADDRESS} {
	header >Access-Control-Allow-Origin *
	TOKEN /session
	reverse_proxy {$APP}
}`},
		siteTest{name: "a handler that is not reached", verdict: never, names: []string{"/session"}, site: `
{$SITE_ADDRESS} {
	header >Cache-Control max-age=60
	handle {
		reverse_proxy {$APP}
	}
	TOKEN /session
}`})
	served(t, sites)
}

// TestSitesThatAreHidden has directives without a path.
func TestSitesThatAreHidden(t *testing.T) {
	served(t, []siteTest{
		{name: "before an application", verdict: hides, names: []string{"matcher", "reverse_proxy"}, site: `
{$SITE_ADDRESS} {
	TOKEN
	reverse_proxy {$APP}
}`},
		{name: "before an application below a path", verdict: hides, names: []string{"matcher", "reverse_proxy"}, site: `
{$SITE_ADDRESS} {
	TOKEN
	reverse_proxy /api/* {$APP}
}`},
		{name: "before an application, and after a redirect of the home page", verdict: hides, names: []string{"matcher", "reverse_proxy"}, ask: "/app", site: `
{$SITE_ADDRESS} {
	redir / /app
	TOKEN
	reverse_proxy {$APP}
}`},
		{name: "before PHP", verdict: hides, names: []string{"matcher", "php_fastcgi file_server"}, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	php_fastcgi {$APP}
	file_server
	TOKEN
}`},
		{name: "in the catch-all handle with the files", verdict: hides, names: []string{"matcher", "file_server"}, site: `
{$SITE_ADDRESS} {
	handle /api/* {
		reverse_proxy {$APP}
	}
	handle {
		root * {$SITE_ROOT}
		TOKEN
		file_server
	}
}`},
		{name: "with a matcher for all paths", verdict: hides, names: []string{"matcher", "reverse_proxy"}, site: `
{$SITE_ADDRESS} {
	TOKEN /*
	reverse_proxy {$APP}
}`},
		{name: "at one host of a wildcard, with the files of that host", verdict: hides, names: []string{"file_server"}, ask: "a.example.localhost/session", site: `
http://*.example.localhost:8000 {
	@a host a.example.localhost
	handle @a {
		root * {$SITE_ROOT}
		TOKEN
		file_server
	}
	handle {
		reverse_proxy {$APP}
	}
}`},
		{name: "alone", verdict: works, site: `
{$SITE_ADDRESS} {
	TOKEN
}`},
		{name: "with a response for what is never left over", verdict: works, site: `
{$SITE_ADDRESS} {
	TOKEN
	respond 404
}`},
		{name: "only for POST", verdict: works, site: `
{$SITE_ADDRESS} {
	@post method POST
	TOKEN @post
	reverse_proxy {$APP}
}`},
		{name: "only for what an expression takes", verdict: works, site: `
{$SITE_ADDRESS} {
	@session expression path('/session')
	TOKEN @session
	reverse_proxy {$APP}
}`},
		{name: "only for one host", verdict: works, ask: "token.example.localhost/session", site: `
http://app.example.localhost:8000, http://token.example.localhost:8000 {
	@token host token.example.localhost
	TOKEN @token
	reverse_proxy {$APP}
}`},
		{name: "below a prefix", verdict: works, ask: "/voice/session", site: `
{$SITE_ADDRESS} {
	handle_path /voice/* {
		TOKEN
	}
	handle {
		reverse_proxy {$APP}
	}
}`},
		{name: "with pass_thru in front of pages", verdict: works, depends: true, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	TOKEN {
		methods GET
		pass_thru
	}
	templates
	file_server
}`},
	})
}

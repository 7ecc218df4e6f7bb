// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import "testing"

// TestSitesByHost has sites that several hosts lead to, and redirects between them.
func TestSitesByHost(t *testing.T) {
	served(t, []siteTest{
		{name: "the bare domain redirects to www", verdict: works, ask: "www.example.localhost/session", site: `
http://example.localhost:8000 {
	redir http://www.example.localhost{uri}
}
http://www.example.localhost:8000 {
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "the directive at the domain that redirects", verdict: never, names: []string{"redir", "/session", "example.localhost"}, ask: "example.localhost/session", site: `
http://example.localhost:8000 {
	redir http://www.example.localhost{uri}
	TOKEN /session
}
http://www.example.localhost:8000 {
	reverse_proxy {$APP}
}`},
		{name: "a redirect of all but the health check", verdict: never, names: []string{"redir", "/session"}, site: `
{$SITE_ADDRESS} {
	@down not path /health
	redir @down https://status.example.com 302
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "maintenance by a file", verdict: works, depends: true, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	@maintenance file /maintenance.on
	handle @maintenance {
		error 503
	}
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "http is redirected by a header of a proxy", verdict: works, site: `
{$SITE_ADDRESS} {
	@http header X-Forwarded-Proto http
	redir @http https://{host}{uri}
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "addresses that are kept out", verdict: works, site: `
{$SITE_ADDRESS} {
	@blocked remote_ip 203.0.113.0/24
	abort @blocked
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "paths that are kept out", verdict: never, names: []string{"respond", "/session"}, site: `
{$SITE_ADDRESS} {
	route {
		@blocked path /.env /.git/* /s*
		respond @blocked 403
		TOKEN /session
		reverse_proxy {$APP}
	}
}`},
		{name: "an expression keeps requests out", verdict: works, site: `
{$SITE_ADDRESS} {
	@big expression {header.Content-Length} > "9"
	error @big 413
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "hosts without a site", verdict: works, ask: "any.test/session", site: `
http://:8000 {
	@www host www.example.localhost
	redir @www http://example.localhost{uri}
	TOKEN /session
}`},
		{name: "a site for other hosts, which has nothing but tokens", verdict: works, ask: "any.test/session", site: `
http://a.example.localhost:8000 {
	reverse_proxy {$APP}
}
http://:8000 {
	TOKEN /session
	respond 404
}`},
		{name: "tenants of a wildcard", verdict: works, ask: "tenant.example.localhost/session", site: `
http://*.example.localhost:8000 {
	@www host www.example.localhost
	handle @www {
		reverse_proxy {$APP}
	}
	handle {
		TOKEN /session
		reverse_proxy {$APP}
	}
}`},
		{name: "tenants of a wildcard that have nothing else", verdict: works, ask: "tenant.example.localhost/session", site: `
http://*.example.localhost:8000 {
	@www host www.example.localhost
	redir @www http://example.localhost{uri}
	TOKEN /session
}`},
		{name: "hosts of a wildcard behind a redirect of strangers", verdict: never, names: []string{"b.example.localhost", "/session", "reverse_proxy handle"}, ask: "b.example.localhost/session", site: `
http://*.example.localhost:8000 {
	@b host b.example.localhost
	handle @b {
		reverse_proxy {$APP}
	}
	handle /session {
		TOKEN
	}
	handle {
		redir http://example.localhost{uri}
	}
}`},
		{name: "all hosts but one", verdict: works, ask: "other.example.localhost/session", site: `
http://*.example.localhost:8000 {
	@tokens not host www.example.localhost
	TOKEN @tokens
	reverse_proxy {$APP}
}`, depends: true},
		{name: "one of two hosts", verdict: works, ask: "b.example.localhost/session", site: `
http://a.example.localhost:8000, http://b.example.localhost:8000 {
	@a host a.example.localhost
	handle @a {
		reverse_proxy {$APP}
	}
	handle {
		TOKEN /session
		reverse_proxy {$APP}
	}
}`},
		{name: "a host inside of another's block", verdict: never, names: []string{"b.example.localhost"}, ask: "b.example.localhost/session", site: `
http://a.example.localhost:8000 {
	@b host b.example.localhost
	TOKEN @b
	reverse_proxy {$APP}
}
http://b.example.localhost:8000 {
	reverse_proxy {$APP}
}`},
		{name: "a site of a path before it", verdict: never, names: []string{"site block", "/api/session"}, ask: "a.example.localhost/api/session", site: `
http://a.example.localhost:8000/api/* {
	reverse_proxy {$APP}
}
http://a.example.localhost:8000 {
	file_server
	TOKEN /api/session
}`},
		{name: "a shared snippet in two sites", verdict: works, ask: "b.example.localhost/session", site: `
(common) {
	encode zstd gzip
	header -Server
	log
	@hidden path */.*
	respond @hidden 404
}
http://a.example.localhost:8000 {
	import common
	reverse_proxy {$APP}
}
http://b.example.localhost:8000 {
	import common
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "a handler of errors that shows a page", verdict: works, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	TOKEN /session
	file_server
	handle_errors {
		rewrite * /index.html
		file_server
	}
}`},
		{name: "in the handler of errors", verdict: works, depends: true, site: `
{$SITE_ADDRESS} {
	reverse_proxy {$APP}
	handle_errors {
		TOKEN
	}
}`},
		{name: "in a named route", verdict: works, site: `
&(tokens) {
	TOKEN /session
}
{$SITE_ADDRESS} {
	invoke tokens
	reverse_proxy {$APP}
}`},
		{name: "behind a named route that answers", verdict: never, names: []string{"reverse_proxy", "named route app", "/session"}, site: `
&(app) {
	reverse_proxy {$APP}
}
{$SITE_ADDRESS} {
	invoke app
	TOKEN /session
}`},
		{name: "behind the metrics", verdict: works, site: `
{$SITE_ADDRESS} {
	metrics /metrics
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "with map, vars, templates and encode", verdict: works, site: `
{$SITE_ADDRESS} {
	map {host} {backend} {
		default {$APP}
	}
	vars region eu
	encode
	templates
	request_body {
		max_size 1MB
	}
	log_append user {http.auth.user.id}
	intercept {
		@missing status 404
		replace_status @missing 200
	}
	reverse_proxy {backend}
	TOKEN /session
}`},
		{name: "behind a rewrite by map", verdict: works, depends: true, site: `
{$SITE_ADDRESS} {
	map {path} {target} {
		/old /new
		default {path}
	}
	rewrite * {target}
	reverse_proxy {$APP}
	TOKEN /session
}`},
	})
}

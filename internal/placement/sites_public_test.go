// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import "testing"

// TestSitesOfPublicProjects has the structures of Caddyfiles that public projects
// have, under other names, with the directive put where somebody new to it puts it:
// on the last line of the site, or in a handle beside its handles.
func TestSitesOfPublicProjects(t *testing.T) {
	served(t, []siteTest{
		{name: "a sign-in by snippet in front of each application", verdict: works, ask: "tasks.example.localhost/session", header: asSignedIn, site: `
{
	servers {
		trusted_proxies static 173.245.48.0/20 103.21.244.0/22
		trusted_proxies_strict
	}
}
(auth) {
	forward_auth {$AUTH} {
		uri /api/authz/forward-auth
		copy_headers Remote-User Remote-Groups Remote-Name Remote-Email
	}
}
(auth-films) {
	forward_auth {$AUTH} {
		uri /api/authz/forward-auth
		header_up -Authorization
		copy_headers Remote-User Remote-Groups
	}
}
http://auth.example.localhost:8000 {
	reverse_proxy {$AUTH}
}
http://films.example.localhost:8000 {
	import auth-films
	reverse_proxy {$APP}
}
http://tasks.example.localhost:8000 {
	import auth
	reverse_proxy {$APP} {
		header_up Host {host}
	}
	TOKEN /session
}
http://photos.example.localhost:8000 {
	reverse_proxy {$APP}
}`},
		{name: "a shop of one page with its API and a www that redirects", verdict: never, names: []string{"try_files file_server", "/session", "handle"}, ask: "shop.example.localhost/session", site: `
http://shop.example.localhost:8000 {
	encode zstd gzip
	@api path /api* /health
	handle @api {
		reverse_proxy {$APP}
	}
	handle {
		root * {$SITE_ROOT}
		try_files {path} {path}/ /index.html
		file_server
	}
	TOKEN /session
}
http://www.shop.example.localhost:8000 {
	redir http://shop.example.localhost{uri} permanent
}
http://api.shop.example.localhost:8000 {
	reverse_proxy {$APP}
}`},
		{name: "a registry with a password and a webhook without one", verdict: works, ask: "images.example.localhost/session", header: asAlice, site: `
http://images.example.localhost:8000 {
	header Strict-Transport-Security max-age=31536000;
	basic_auth {
		` + account + `
	}
	reverse_proxy {$APP}
	TOKEN /session
}
http://webhook.images.example.localhost:8000 {
	header Strict-Transport-Security max-age=31536000;
	reverse_proxy {$APP}
}`},
		{name: "a tool of one page without handles", verdict: never, names: []string{"try_files", "/session", "/index.html"}, ask: "money.example.localhost/session", site: `
http://money.example.localhost:8000 {
	encode gzip
	@api path /api/*
	reverse_proxy @api {$APP}
	root * {$SITE_ROOT}
	try_files {path} {path}/ /index.html
	file_server
	log
	TOKEN /session
}`},
		{name: "a front end that is on its way, with an editor and a strict CSP", verdict: never, names: []string{"respond", "/session", "handle"}, site: `
(no_robots) {
	header X-Robots-Tag "none"
}
{$SITE_ADDRESS} {
	header {
		Strict-Transport-Security "max-age=31536000; includeSubDomains"
		X-Content-Type-Options "nosniff"
		-Server
	}
	@not_editor {
		not path /editor/*
	}
	header @not_editor Content-Security-Policy "default-src 'self'"
	encode zstd gzip
	handle_path /api/* {
		import no_robots
		reverse_proxy {$APP}
	}
	handle_path /editor/* {
		import no_robots
		header Content-Security-Policy "default-src 'self' blob:"
		reverse_proxy {$APP}
	}
	@editor_assets {
		path /assets/* /manifest*.json /favicon*.ico
	}
	handle @editor_assets {
		reverse_proxy {$APP}
	}
	handle {
		respond "The front end is on its way!" 200
	}
	handle_errors {
		respond "{err.status_code} {err.status_text}"
	}
	TOKEN /session
}`},
		{name: "an assistant behind one proxy with many options", verdict: works, ask: "assistant.example.localhost/session", site: `
http://assistant.example.localhost:8000 {
	encode gzip zstd
	log
	reverse_proxy {$APP} {
		transport http {
			dial_timeout 10s
			response_header_timeout 60s
		}
		fail_duration 30s
		max_fails 3
		unhealthy_status 503
	}
	header {
		-Server
		Strict-Transport-Security "max-age=31536000; includeSubDomains; preload"
		X-Frame-Options "DENY"
	}
	handle_errors {
		@upstream expression ` + "`{http.error.status_code} in [502, 503, 504]`" + `
		handle @upstream {
			respond "Try again later." 503
		}
	}
	TOKEN /session
}
http://www.assistant.example.localhost:8000 {
	redir http://assistant.example.localhost{uri} permanent
}`},
		{name: "a front end and a back end", verdict: never, names: []string{"reverse_proxy", "/session", "handle"}, ask: "any.test/session", site: `
http://:8000 {
	handle /api* {
		reverse_proxy {$APP}
	}
	handle {
		reverse_proxy {$APP}
	}
	TOKEN /session
}`},
		{name: "an API in a handle and the page beside it", verdict: never, names: []string{"try_files", "/session"}, ask: "probe.example.localhost/session", site: `
http://deploy.probe.example.localhost:8000 {
	root * {$SITE_ROOT}
	php_fastcgi {$APP}
}
http://probe.example.localhost:8000 {
	handle /api/* {
		request_body {
			max_size 256KB
		}
		reverse_proxy {$APP}
	}
	root * {$SITE_ROOT}
	try_files {path} /index.html
	file_server
	handle /session {
		TOKEN
	}
}`},
		{name: "a tracker in PHP with another API", verdict: never, names: []string{"php_fastcgi try_files", "/session", "handle"}, ask: "tracker.example.localhost/session", site: `
http://tracker.example.localhost:8000 {
	root * {$SITE_ROOT}
	@api path /api/*
	handle @api {
		reverse_proxy {$APP}
	}
	handle {
		php_fastcgi {$APP}
		file_server
	}
	TOKEN /session
}`},
		{name: "a framework in PHP that gets the query", verdict: never, names: []string{"try_files", "/session", "/index.php"}, ask: "www.studio.example.localhost/session", site: `
http://studio.example.localhost:8000, http://www.studio.example.localhost:8000 {
	root * {$SITE_ROOT}
	encode gzip
	php_fastcgi {$APP} {
		env APP_ENV prod
	}
	@static file
	header @static Cache-Control "public, max-age=31536000, immutable"
	try_files {path} /index.php?{query}
	header {
		X-Frame-Options "SAMEORIGIN"
	}
	log
	TOKEN /session
}`},
		{name: "a gatekeeper in the last handle", verdict: noSignIn, names: []string{"forward_auth", "/session", "songs.example.localhost"}, ask: "songs.example.localhost/session", site: `
http://songs.example.localhost:8000 {
	@static path *.js *.css *.map *.png
	handle @static {
		reverse_proxy {$APP}
	}
	@landing path /join*
	handle @landing {
		reverse_proxy {$APP}
	}
	@enrollment path /api/rooms/*/enrollment
	handle @enrollment {
		reverse_proxy {$APP}
	}
	handle /session {
		TOKEN
	}
	handle {
		forward_auth {$AUTH} {
			uri /outpost.goauthentik.io/auth/caddy
			copy_headers X-Authentik-Username X-Authentik-Groups
			trusted_proxies private_ranges
		}
		reverse_proxy {$APP}
	}
}`},
		{name: "a house of services under a wildcard", verdict: never, names: []string{"films.home.localhost", "/session", "reverse_proxy handle"}, ask: "films.home.localhost/session", site: `
(whitelist) {
	@stranger not remote_ip 127.0.0.0/8 ::1
	handle @stranger {
		respond "no"
	}
}
(authentik) {
	reverse_proxy /outpost.goauthentik.io/* {$AUTH} {
		header_up Host {http.reverse_proxy.upstream.host}
	}
	forward_auth {$AUTH} {
		uri /outpost.goauthentik.io/auth/caddy
		copy_headers X-Authentik-Username
	}
}
http://*.home.localhost:8000 {
	header {
		-frameDeny
	}
	@films host films.home.localhost
	handle @films {
		reverse_proxy {$APP}
	}
	@login host login.home.localhost
	handle @login {
		reverse_proxy {$AUTH}
	}
	@files host files.home.localhost
	handle @files {
		import authentik
		reverse_proxy {$APP}
	}
	handle {
		respond "Service not found" 404
	}
	TOKEN /session
}`},
		{name: "music whose shares are open", verdict: works, ask: "music.example.localhost/session", header: asSignedIn, site: `
http://music.example.localhost:8000 {
	reverse_proxy /outpost.goauthentik.io/* {$AUTH}
	@protected not path /share/* /rest/*
	forward_auth @protected {$AUTH} {
		uri /outpost.goauthentik.io/auth/caddy
		copy_headers X-Authentik-Username>Remote-User
	}
	@subsonic path /rest/*
	forward_auth @subsonic {$AUTH} {
		uri /outpost.goauthentik.io/auth/caddy
		@error status 1xx 3xx 4xx 5xx
		handle_response @error {
			respond "<subsonic-response status='failed'/>" 200
		}
	}
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "a staging site in one route", verdict: never, names: []string{"reverse_proxy", "/session", "route"}, ask: "staging.example.localhost/session", header: asSignedIn, site: `
http://staging.example.localhost:8000 {
	route {
		reverse_proxy /healthz {$APP}
		reverse_proxy /outpost.goauthentik.io/* {$AUTH}
		forward_auth {$AUTH} {
			uri /outpost.goauthentik.io/auth/caddy
			copy_headers X-Authentik-Username
		}
		reverse_proxy {$APP}
	}
	header -Server
	TOKEN /session
}`},
	})
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import "testing"

// TestSitesOfFilesAndApplications has sites without a sign-in.
func TestSitesOfFilesAndApplications(t *testing.T) {
	served(t, []siteTest{
		{name: "WordPress", verdict: works, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	encode
	php_fastcgi {$APP}
	file_server
	TOKEN /session
}`},
		{name: "WordPress in a handle", verdict: never, names: []string{"php_fastcgi try_files", "/session", "handle"}, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	handle /wp-content/* {
		file_server
	}
	handle {
		php_fastcgi {$APP}
		file_server
	}
	TOKEN /session
}`},
		{name: "WordPress with the directive in its handle", verdict: works, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	handle {
		php_fastcgi {$APP}
		file_server
		TOKEN /session
	}
}`},
		{name: "a path that PHP splits", verdict: works, depends: true, site: `
{$SITE_ADDRESS} {
	route {
		root * {$SITE_ROOT}
		php_fastcgi {$APP}
		TOKEN /index.php/session
	}
}`},
		{name: "Laravel with index.php for everything", verdict: never, names: []string{"rewrite", "/session", "/index.php"}, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	@notStatic not path *.css *.js
	rewrite @notStatic /index.php
	php_fastcgi {$APP}
	TOKEN /session
}`},
		{name: "try_files to PHP with a query", verdict: never, names: []string{"try_files rewrite", "/session"}, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	try_files {path} /index.php?{query}
	php_fastcgi {$APP}
	TOKEN /session
}`},
		{name: "Nextcloud", verdict: works, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	redir /.well-known/carddav /remote.php/dav 301
	redir /.well-known/caldav /remote.php/dav 301
	@forbidden {
		path /.htaccess /data/* /config/* /db_structure /.xml /README
	}
	respond @forbidden 404
	header Strict-Transport-Security max-age=31536000
	php_fastcgi {$APP}
	file_server
	TOKEN /session
}`},
		{name: "Jellyfin under a path", verdict: works, site: `
{$SITE_ADDRESS} {
	redir /jellyfin /jellyfin/
	reverse_proxy /jellyfin/* {$APP}
	TOKEN /session
}`},
		{name: "SPA with its API, the directive beside them", verdict: never, names: []string{"try_files", "/session", "handle"}, site: `
{$SITE_ADDRESS} {
	handle /api/* {
		reverse_proxy {$APP}
	}
	handle {
		root * {$SITE_ROOT}
		try_files {path} /index.html
		file_server
	}
	TOKEN /session
}`},
		{name: "SPA with its API, the directive in the API's block", verdict: works, ask: "/api/session", site: `
{$SITE_ADDRESS} {
	handle /api/* {
		reverse_proxy {$APP}
		TOKEN /api/session
	}
	handle {
		root * {$SITE_ROOT}
		try_files {path} /index.html
		file_server
	}
}`},
		{name: "SPA with its API in handle_path, and the whole path in it", verdict: never, names: []string{"handle_path", "/session"}, ask: "/api/session", site: `
{$SITE_ADDRESS} {
	handle_path /api/* {
		TOKEN /api/session
		reverse_proxy {$APP}
	}
	handle {
		root * {$SITE_ROOT}
		file_server
	}
}`},
		{name: "SPA in one block with the directive", verdict: never, names: []string{"try_files", "/session"}, site: `
{$SITE_ADDRESS} {
	handle /api/* {
		reverse_proxy {$APP}
	}
	handle {
		root * {$SITE_ROOT}
		try_files {path} /index.html
		file_server
		TOKEN /session
	}
}`},
		{name: "try_files of a policy that needs no file", verdict: never, names: []string{"try_files", "/session"}, site: `
{$SITE_ADDRESS} {
	root * /nowhere
	try_files {path} /app.html {
		policy first_exist_fallback
	}
	file_server
	TOKEN /session
}`},
		{name: "try_files that ends in 404", verdict: never, names: []string{"try_files", "/session"}, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	try_files {path} {path}.html =404
	file_server
	TOKEN /session
}`},
		{name: "try_files without a file to fall back to", verdict: works, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	try_files {path} {path}.html
	file_server
	TOKEN /session
}`},
		{name: "try_files of a file that is not there yet", verdict: works, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	try_files {path} /built-later.html
	file_server
	TOKEN /session
}`},
		{name: "files first, then the application", verdict: works, depends: true, site: `
{$SITE_ADDRESS} {
	root * {$SITE_ROOT}
	@static file
	handle @static {
		file_server
	}
	handle {
		reverse_proxy {$APP}
		TOKEN /session
	}
}`},
		{name: "file_server with pass_thru in a route", verdict: works, site: `
{$SITE_ADDRESS} {
	route {
		root * {$SITE_ROOT}
		file_server {
			pass_thru
		}
		TOKEN /session
		reverse_proxy {$APP}
	}
}`},
		{name: "everything in a route, in order", verdict: works, site: `
{$SITE_ADDRESS} {
	route {
		TOKEN /session
		root * {$SITE_ROOT}
		try_files {path} /index.html
		file_server
	}
}`},
		{name: "everything in a route, in the wrong order", verdict: never, names: []string{"reverse_proxy", "/session", "before"}, site: `
{$SITE_ADDRESS} {
	route {
		reverse_proxy {$APP}
		TOKEN /session
	}
}`},
		{name: "two applications by prefix", verdict: works, site: `
{$SITE_ADDRESS} {
	handle_path /one/* {
		reverse_proxy {$APP}
	}
	handle_path /two/* {
		reverse_proxy {$APP}
	}
	handle /session {
		TOKEN
	}
	handle {
		respond "nothing here" 404
	}
}`},
		{name: "a prefix that uri takes away", verdict: works, site: `
{$SITE_ADDRESS} {
	uri strip_prefix /v1
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "a prefix that uri takes away, asked for with it", verdict: works, ask: "/v1/session", site: `
{$SITE_ADDRESS} {
	uri strip_prefix /v1
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "a rewrite that adds a prefix", verdict: never, names: []string{"rewrite", "/session", "/app/session"}, site: `
{$SITE_ADDRESS} {
	rewrite * /app{uri}
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "a rewrite that adds the prefix of the directive", verdict: works, site: `
{$SITE_ADDRESS} {
	rewrite * /app{uri}
	reverse_proxy {$APP}
	TOKEN /app/session
}`},
		{name: "uri replaces a part of the path", verdict: never, names: []string{"uri", "/session"}, site: `
{$SITE_ADDRESS} {
	uri replace /session /login
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "uri path_regexp that is for other paths", verdict: works, site: `
{$SITE_ADDRESS} {
	uri path_regexp /{2,} /
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "the method is changed", verdict: never, names: []string{"method", "/session", "GET"}, site: `
{$SITE_ADDRESS} {
	method GET
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "a matcher of a method that it does not answer", verdict: never, names: []string{"GET", "/session"}, site: `
{$SITE_ADDRESS} {
	@session {
		method GET
		path /session
	}
	TOKEN @session
	reverse_proxy {$APP}
}`},
		{name: "a matcher of several paths", verdict: works, ask: "/token", site: `
{$SITE_ADDRESS} {
	@token path /session /token
	handle @token {
		TOKEN
	}
	handle {
		reverse_proxy {$APP}
	}
}`},
		{name: "a matcher by regular expression", verdict: never, names: []string{"/session", "reverse_proxy handle"}, site: `
{$SITE_ADDRESS} {
	@session path_regexp ^/session$
	TOKEN @session
	handle {
		reverse_proxy {$APP}
	}
}`},
		{name: "a wildcard below the block of another", verdict: never, names: []string{"/voice/*", "reverse_proxy handle"}, ask: "/voice/session", site: `
{$SITE_ADDRESS} {
	handle {
		reverse_proxy {$APP}
	}
	TOKEN /voice/*
}`},
		{name: "a wildcard of which one path is somebody else's", verdict: works, ask: "/voice/session", site: `
{$SITE_ADDRESS} {
	handle /voice/login {
		reverse_proxy {$APP}
	}
	handle /voice/* {
		TOKEN
	}
	handle {
		reverse_proxy {$APP}
	}
}`},
		{name: "no path, behind everything", verdict: never, names: []string{"any path", "reverse_proxy handle"}, site: `
{$SITE_ADDRESS} {
	handle {
		reverse_proxy {$APP}
	}
	TOKEN
}`},
		{name: "no path, behind a block that leaves one out", verdict: works, site: `
{$SITE_ADDRESS} {
	@app not path /session
	handle @app {
		reverse_proxy {$APP}
	}
	handle {
		TOKEN
	}
}`},
		{name: "matchers that are one or the other", verdict: works, depends: true, site: `
{$SITE_ADDRESS} {
	@app {
		not path /session
	}
	@mobile header User-Agent *Mobile*
	handle @mobile {
		reverse_proxy {$APP}
	}
	handle @app {
		reverse_proxy {$APP}
	}
	handle {
		TOKEN
	}
}`},
		{name: "in the second handle for its path", verdict: never, names: []string{"handle", "/session"}, site: `
{$SITE_ADDRESS} {
	handle /session {
		header X-Robots-Tag noindex
	}
	handle {
		TOKEN /session
		reverse_proxy {$APP}
	}
}`},
		{name: "in handle_path for exactly its path, at the slash that this leaves", verdict: works, site: `
{$SITE_ADDRESS} {
	handle_path /session {
		TOKEN /
	}
	reverse_proxy {$APP}
}`},
		{name: "with a handle for POST before it, which is its first method", verdict: never, names: []string{"handle", "/session"}, site: `
{$SITE_ADDRESS} {
	@post method POST
	handle @post {
		reverse_proxy {$APP}
	}
	TOKEN /session {
		methods POST GET
	}
}`},
		{name: "with a matcher for another host", verdict: never, names: []string{"host", "elsewhere.example.localhost", "/session"}, site: `
{$SITE_ADDRESS} {
	@session {
		host elsewhere.example.localhost
		path /session
	}
	TOKEN @session
	reverse_proxy {$APP}
}`},
		{name: "twice for the same path", verdict: never, names: []string{"another", "/session"}, depends: true, site: `
{$SITE_ADDRESS} {
	TOKEN /session
	TOKEN /session {
		timeout 5s
	}
}`},
		{name: "twice with pass_thru first", verdict: works, depends: true, site: `
{$SITE_ADDRESS} {
	route {
		TOKEN /session {
			pass_thru
		}
		respond /session {http.xai_ephemeral_token.id}
		TOKEN /other
	}
}`},
	})
}

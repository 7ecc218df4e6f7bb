// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import "testing"

// account is alice, whose password is change-me.
const account = "alice $2a$04$NdPbGUNcgLCCwfnYtYAMe.FrZYSwBPMu49PVcX3t67rdVVHfr1/Wq"

var (
	asAlice    = []string{"Authorization", "Basic YWxpY2U6Y2hhbmdlLW1l"}
	asSignedIn = []string{signedIn, "yes"}
)

// TestSitesWithASignIn has sites that ask all or some of their visitors who they
// are.
func TestSitesWithASignIn(t *testing.T) {
	served(t, []siteTest{
		{name: "basic_auth for all", verdict: works, header: asAlice, site: `
{$SITE_ADDRESS} {
	basic_auth {
		` + account + `
	}
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "basic_auth for all, and handles", verdict: works, header: asAlice, site: `
{$SITE_ADDRESS} {
	basic_auth {
		` + account + `
	}
	handle /session {
		TOKEN
	}
	handle {
		reverse_proxy {$APP}
	}
}`},
		{name: "basic_auth in the block of the application", verdict: noSignIn, names: []string{"basic_auth", "/session"}, site: `
{$SITE_ADDRESS} {
	handle {
		basic_auth {
			` + account + `
		}
		reverse_proxy {$APP}
	}
	handle /session {
		TOKEN
	}
}`},
		{name: "basic_auth that leaves the path out", verdict: works, site: `
{$SITE_ADDRESS} {
	@private not path /session /health
	basic_auth @private {
		` + account + `
	}
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "basic_auth of an area with a block", verdict: works, site: `
{$SITE_ADDRESS} {
	handle /admin/* {
		basic_auth {
			` + account + `
		}
		reverse_proxy {$APP}
	}
	handle {
		reverse_proxy {$APP}
		TOKEN /session
	}
}`},
		{name: "basic_auth after it in a route", verdict: noSignIn, names: []string{"basic_auth", "/session"}, site: `
{$SITE_ADDRESS} {
	route {
		TOKEN /session
		basic_auth {
			` + account + `
		}
		reverse_proxy {$APP}
	}
}`},
		{name: "ordered before basic_auth", verdict: noSignIn, names: []string{"basic_auth", "/session"}, site: `
{
	order xai_ephemeral_token first
}
{$SITE_ADDRESS} {
	basic_auth {
		` + account + `
	}
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "basic_auth that leaves out the path of an expression", verdict: works, site: `
{$SITE_ADDRESS} {
	@session expression path('/session')
	handle @session {
		TOKEN
	}
	handle {
		@private not path /session
		basic_auth @private {
			` + account + `
		}
		reverse_proxy {$APP}
	}
}`},
		{name: "basic_auth for strangers only", verdict: works, depends: true, site: `
{$SITE_ADDRESS} {
	@stranger not remote_ip private_ranges
	basic_auth @stranger {
		` + account + `
	}
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "basic_auth for strangers only, in another block", verdict: works, depends: true, site: `
{$SITE_ADDRESS} {
	handle /session {
		TOKEN
	}
	handle {
		@stranger not remote_ip private_ranges
		basic_auth @stranger {
			` + account + `
		}
		reverse_proxy {$APP}
	}
}`},
		{name: "forward_auth for strangers only, and a password in another block", verdict: works, depends: true, site: `
{$SITE_ADDRESS} {
	@stranger not remote_ip private_ranges
	forward_auth @stranger {$AUTH} {
		uri /verify
	}
	handle /session {
		TOKEN
	}
	handle {
		basic_auth {
			` + account + `
		}
		reverse_proxy {$APP}
	}
}`},
		{name: "Authelia by a snippet", verdict: works, header: asSignedIn, site: `
(authelia) {
	forward_auth {$AUTH} {
		uri /api/authz/forward-auth
		copy_headers Remote-User Remote-Groups Remote-Email Remote-Name
	}
}
{$SITE_ADDRESS} {
	import authelia
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "Authelia by a snippet in the block of the application", verdict: noSignIn, names: []string{"forward_auth", "/session"}, site: `
(authelia) {
	forward_auth {$AUTH} {
		uri /api/authz/forward-auth
		copy_headers Remote-User Remote-Groups
	}
}
{$SITE_ADDRESS} {
	handle /session {
		TOKEN
	}
	handle {
		import authelia
		reverse_proxy {$APP}
	}
}`},
		{name: "authentik with its outpost", verdict: works, header: asSignedIn, site: `
{$SITE_ADDRESS} {
	route {
		reverse_proxy /outpost.goauthentik.io/* {$AUTH}
		forward_auth {$AUTH} {
			uri /outpost.goauthentik.io/auth/caddy
			copy_headers X-Authentik-Username X-Authentik-Groups
			trusted_proxies private_ranges
		}
		TOKEN /session
		reverse_proxy {$APP}
	}
}`},
		{name: "authentik, and the directive after its application", verdict: never, names: []string{"reverse_proxy", "/session"}, header: asSignedIn, site: `
{$SITE_ADDRESS} {
	route {
		reverse_proxy /outpost.goauthentik.io/* {$AUTH}
		forward_auth {$AUTH} {
			uri /outpost.goauthentik.io/auth/caddy
		}
		reverse_proxy {$APP}
	}
	TOKEN /session
}`},
		{name: "oauth2-proxy that is redirected to", verdict: works, header: asSignedIn, site: `
{$SITE_ADDRESS} {
	handle /oauth2/* {
		reverse_proxy {$AUTH}
	}
	handle {
		forward_auth {$AUTH} {
			uri /oauth2/auth
			@error status 401
			handle_response @error {
				redir * /oauth2/sign_in?rd={scheme}://{host}{uri}
			}
		}
		reverse_proxy {$APP}
		TOKEN /session
	}
}`},
		{name: "forward_auth written out", verdict: noSignIn, names: []string{"forward_auth", "/session"}, site: `
{$SITE_ADDRESS} {
	handle /session {
		TOKEN
	}
	handle {
		reverse_proxy {$AUTH} {
			method GET
			rewrite /verify
			header_up X-Forwarded-Uri {uri}
			@good status 2xx
			handle_response @good {
				request_header X-User {rp.header.X-User}
			}
		}
		reverse_proxy {$APP}
	}
}`},
		{name: "a proxy that sends files itself is no sign-in", verdict: works, site: `
{$SITE_ADDRESS} {
	handle /session {
		TOKEN
	}
	handle {
		reverse_proxy {$APP} {
			@accel header X-Accel-Redirect *
			handle_response @accel {
				root * {$SITE_ROOT}
				rewrite * {rp.header.X-Accel-Redirect}
				file_server
			}
		}
	}
}`},
		{name: "a proxy whose 404 goes on elsewhere is no sign-in", verdict: works, site: `
{$SITE_ADDRESS} {
	handle /session {
		TOKEN
	}
	handle {
		reverse_proxy {$APP} {
			@missing status 404
			handle_response @missing {
				header X-From fallback
			}
		}
		respond "nothing here"
	}
}`},
		{name: "a proxy whose 404 goes on", verdict: works, depends: true, site: `
{$SITE_ADDRESS} {
	route {
		reverse_proxy {$APP} {
			@missing status 404
			handle_response @missing {
				header X-From fallback
			}
		}
		TOKEN /session
	}
}`},
		{name: "the sign-in of another host", verdict: works, ask: "open.example.localhost/session", site: `
http://open.example.localhost:8000 {
	reverse_proxy {$APP}
	TOKEN /session
}
http://closed.example.localhost:8000 {
	basic_auth {
		` + account + `
	}
	reverse_proxy {$APP}
}
http://:8000 {
	basic_auth {
		` + account + `
	}
	respond "who are you?"
}`},
		{name: "the sign-in of one host of a wildcard", verdict: works, ask: "open.example.localhost/session", site: `
http://*.example.localhost:8000 {
	@closed host closed.example.localhost
	handle @closed {
		basic_auth {
			` + account + `
		}
		reverse_proxy {$APP}
	}
	@open host open.example.localhost
	handle @open {
		TOKEN /session
		reverse_proxy {$APP}
	}
	handle {
		abort
	}
}`},
		{name: "a directive for all hosts of a wildcard, one of which signs in", verdict: noSignIn, names: []string{"basic_auth", "/session", "closed.example.localhost"}, ask: "closed.example.localhost/session", site: `
http://*.example.localhost:8000 {
	handle /session {
		TOKEN
	}
	@open host open.example.localhost
	handle @open {
		reverse_proxy {$APP}
	}
	@closed host closed.example.localhost
	handle @closed {
		basic_auth {
			` + account + `
		}
		reverse_proxy {$APP}
	}
}`},
		{name: "a key of its own in front of the directive", verdict: works, header: []string{"X-Key", "secret"}, site: `
{$SITE_ADDRESS} {
	handle /session {
		@stranger not header X-Key secret
		error @stranger 401
		TOKEN
	}
	handle {
		basic_auth {
			` + account + `
		}
		reverse_proxy {$APP}
	}
}`},
		{name: "a key of its own in the matcher of the directive", verdict: works, header: []string{"X-Key", "secret"}, site: `
{$SITE_ADDRESS} {
	@machine {
		path /session
		header X-Key secret
	}
	handle @machine {
		TOKEN
	}
	handle {
		basic_auth {
			` + account + `
		}
		reverse_proxy {$APP}
	}
}`},
		{name: "a named route that signs in", verdict: works, header: asAlice, site: `
&(login) {
	basic_auth {
		` + account + `
	}
}
{$SITE_ADDRESS} {
	invoke login
	reverse_proxy {$APP}
	TOKEN /session
}`},
		{name: "a named route that signs in elsewhere", verdict: noSignIn, names: []string{"basic_auth", "/session"}, site: `
&(app) {
	basic_auth {
		` + account + `
	}
	reverse_proxy {$APP}
}
{$SITE_ADDRESS} {
	handle /session {
		TOKEN
	}
	handle {
		invoke app
	}
}`},
		{name: "a sign-in before try_files", verdict: works, header: asAlice, site: `
{$SITE_ADDRESS} {
	basic_auth {
		` + account + `
	}
	root * {$SITE_ROOT}
	handle /session {
		TOKEN
	}
	handle {
		try_files {path} /index.html
		file_server
	}
}`},
	})
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"strings"
	"testing"
)

// TestAdvice does what warnings say. Then nothing is said anymore, who signed in gets
// a token, and nobody else does.
func TestAdvice(t *testing.T) {
	const auth = "basic_auth {\n" + account + "\n}\n"
	tests := []struct {
		name, before, advice, after string
		isOpen                      bool // whether the site has no sign-in
	}{
		{
			"into the handle that answers",
			"handle {\n" + auth + "reverse_proxy {$APP}\n}\nTOKEN /session",
			"move it into that block as xai_ephemeral_token /session",
			"handle {\n" + auth + "reverse_proxy {$APP}\nTOKEN /session\n}", false,
		}, {
			"into the route that answers, after the sign-in and before the proxy",
			"route {\n" + auth + "reverse_proxy {$APP}\n}\nTOKEN /session",
			"after the sign-in if there is one and before reverse_proxy",
			"route {\n" + auth + "TOKEN /session\nreverse_proxy {$APP}\n}", false,
		}, {
			"into handle_path, with the path that is left",
			"handle_path /api/* {\n" + auth + "reverse_proxy {$APP}\n}\nTOKEN /api/session",
			"move it into that block as xai_ephemeral_token /session,",
			"handle_path /api/* {\n" + auth + "reverse_proxy {$APP}\nTOKEN /session\n}", false,
		}, {
			"two handles in place of try_files",
			"root * {$SITE_ROOT}\n" + auth + "try_files {path} /index.html\nfile_server\nTOKEN /session",
			"in its place, write handle /session { xai_ephemeral_token } and beside it handle { } with try_files",
			"root * {$SITE_ROOT}\n" + auth + "handle /session {\nTOKEN\n}\nhandle {\ntry_files {path} /index.html\nfile_server\n}", false,
		}, {
			"two handles in the block with try_files",
			"handle {\nroot * {$SITE_ROOT}\n" + auth + "try_files {path} /index.html\nfile_server\n}\nTOKEN /session",
			"in that block, write handle /session { xai_ephemeral_token } and beside it handle { } with try_files",
			"handle {\nroot * {$SITE_ROOT}\n" + auth + "handle /session {\nTOKEN\n}\nhandle {\ntry_files {path} /index.html\nfile_server\n}\n}", false,
		}, {
			"two handles in place of try_files that ends in an error",
			"root * {$SITE_ROOT}\n" + auth + "try_files {path} =404\nfile_server\nTOKEN /session",
			"in its place, write handle /session { xai_ephemeral_token } and beside it handle { } with try_files",
			"root * {$SITE_ROOT}\n" + auth + "handle /session {\nTOKEN\n}\nhandle {\ntry_files {path} =404\nfile_server\n}", false,
		}, {
			"into the handle with PHP",
			"root * {$SITE_ROOT}\nhandle {\n" + auth + "php_fastcgi {$APP}\nfile_server\n}\nTOKEN /session",
			"move it into that block as xai_ephemeral_token /session, after the sign-in if there is one and before php_fastcgi",
			"root * {$SITE_ROOT}\nhandle {\n" + auth + "php_fastcgi {$APP}\nfile_server\nTOKEN /session\n}", false,
		}, {
			"before PHP in a route",
			"route {\nroot * {$SITE_ROOT}\n" + auth + "php_fastcgi {$APP}\nTOKEN /session\n}",
			"write xai_ephemeral_token /session before php_fastcgi and after the sign-in if there is one",
			"route {\nroot * {$SITE_ROOT}\n" + auth + "TOKEN /session\nphp_fastcgi {$APP}\n}", false,
		}, {
			"a path that a rewrite leaves alone",
			auth + "rewrite * /index.php\nreverse_proxy {$APP}\nTOKEN /session",
			"@other not path /session, then rewrite @other …",
			auth + "@other not path /session\nrewrite @other /index.php\nreverse_proxy {$APP}\nTOKEN /session", false,
		}, {
			"a path that a redirect leaves alone",
			auth + "redir * /new{uri}\nTOKEN /session",
			"@other not path /session, then redir @other …",
			auth + "@other not path /session\nredir @other /new{uri}\nTOKEN /session", false,
		}, {
			"a path that a redirect in a block leaves alone",
			"handle {\n" + auth + "redir * /new{uri}\n}\nTOKEN /session",
			"@other not path /session, then redir @other …) and move it into that block as xai_ephemeral_token /session",
			"handle {\n" + auth + "@other not path /session\nredir @other /new{uri}\nTOKEN /session\n}", false,
		}, {
			"the path inside of a prefix",
			"handle /api/* {\n" + auth + "TOKEN /session\nreverse_proxy {$APP}\n}",
			"or xai_ephemeral_token /api/session in it",
			"handle /api/* {\n" + auth + "TOKEN /api/session\nreverse_proxy {$APP}\n}", false,
		}, {
			"handle_path in place of handle",
			"handle /api/* {\n" + auth + "TOKEN /session\nreverse_proxy {$APP}\n}",
			"write handle_path /api/* for that block",
			"handle_path /api/* {\n" + auth + "TOKEN /session\nreverse_proxy {$APP}\n}", false,
		}, {
			"without the prefix that is taken away",
			"handle_path /api/* {\n" + auth + "TOKEN /api/session\nreverse_proxy {$APP}\n}",
			"write xai_ephemeral_token /session",
			"handle_path /api/* {\n" + auth + "TOKEN /session\nreverse_proxy {$APP}\n}", false,
		}, {
			"into the handle that is used",
			"handle /session {\nheader X-Robots-Tag noindex\n}\nhandle {\nTOKEN /session\n}",
			"move it into that block",
			"handle /session {\nheader X-Robots-Tag noindex\nTOKEN\n}", true,
		}, {
			"into the block with the sign-in",
			"handle /session {\nTOKEN\n}\nhandle {\n" + auth + "reverse_proxy {$APP}\n}",
			"move it into the block of that basic_auth as xai_ephemeral_token /session",
			"handle {\n" + auth + "reverse_proxy {$APP}\nTOKEN /session\n}", false,
		}, {
			"Cache-Control in a directive of its own",
			"header {\n-Server\nCache-Control max-age=60\n}\nTOKEN /session",
			"write Cache-Control in a header directive of its own",
			"header -Server\nheader Cache-Control max-age=60\nTOKEN /session", true,
		}, {
			"a path whose header is not deleted",
			"header -Cache-*\nTOKEN /session",
			"@other not path /session, then header @other …",
			"@other not path /session\nheader @other -Cache-*\nTOKEN /session", true,
		}, {
			"a path in place of none",
			"TOKEN\nreverse_proxy {$APP}",
			"such as xai_ephemeral_token /session",
			"TOKEN /session\nreverse_proxy {$APP}", true,
		},
	}
	world := newWorld(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			said := world.serve(t, siteTest{site: "{$SITE_ADDRESS} {\n" + test.before + "\n}\n"}.caddyfile()).warnings()
			if len(said) != 1 || !strings.Contains(said[0], test.advice) {
				t.Errorf("it says %q, without %q", said, test.advice)
			}
		})
		t.Run(test.name+", done", func(t *testing.T) {
			s := world.serve(t, siteTest{site: "{$SITE_ADDRESS} {\n" + test.after + "\n}\n"}.caddyfile())
			if said := s.warnings(); len(said) != 0 {
				t.Errorf("it still says %q", said)
			}
			path := "/session"
			if strings.Contains(test.after, "/api/") {
				path = "/api/session"
			}
			if !s.mints("", path, asAlice...) {
				t.Error("there is no token")
			}
			if got := s.mints("", path); got != test.isOpen {
				t.Errorf("without signing in there is a token: %t", got)
			}
		})
	}
}

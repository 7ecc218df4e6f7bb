// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// documentedHash is that of the password in the documentation's sites.
const (
	documentedHash     = "$2a$14$I9fB2GL2bEe2oUIESlJ8reg4GBvUGQPzTqzxfpDCp1Sfmc..XwvCW"
	documentedPassword = "change-me"
)

func TestDocumentedPassword(t *testing.T) {
	if err := bcrypt.CompareHashAndPassword([]byte(documentedHash), []byte(documentedPassword)); err != nil {
		t.Error(err)
	}
}

// identityProvider stands, at the second site, for what the documentation's sites
// ask who somebody is, and for the apps that they lead to.
const identityProvider = `
http://SITE2 {
	@question path /oauth2/auth /api/authz/forward-auth
	handle @question {
		@known header Cookie session=alice
		handle @known {
			header X-Auth-Request-User alice
			header Remote-User alice
			respond 204
		}
		handle {
			redir https://login.example.com/ 302
		}
	}
	handle {
		respond "the app got {method} {uri} of {header.Remote-User}{header.X-Auth-Request-User}"
	}
}
`

var (
	// bareLine and wholeBlock are the two forms of the directive.
	bareLine   = regexp.MustCompile(`(?m)^(\t*xai_ephemeral_token(?: .*[^{\n])?)$`)
	openedLine = regexp.MustCompile(`(?m)^(\t*xai_ephemeral_token\b.*\{)$`)
	wholeBlock = regexp.MustCompile(`(?m)^\t*xai_ephemeral_token\b.*\{\n(?:.+\n)*?\t*\}\n`)
	wholeLine  = regexp.MustCompile(`(?m)^\t*xai_ephemeral_token(?: .*[^{\n])?\n`)
)

// placement is one of the documented forms: where the line stands in a site with a
// sign-in.
type placement struct {
	name          string
	with, without string // the config that has the line, and that which has not
	path          string // that clients ask for
}

// newPlacement makes a site on this machine of a site in the documentation.
func newPlacement(t *testing.T, name, site string) placement {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(documentedPassword), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	site = strings.NewReplacer(
		"example.com {", "http://SITE {", "/srv/site", "DIR/www", documentedHash, string(hash),
		"localhost:3000", "SITE2", "localhost:4180", "SITE2", "localhost:9091", "SITE2",
	).Replace(site)
	p := placement{name: name, path: "/session"}
	if original := regexp.MustCompile(`orig_uri\.path\} (\S+)`).FindStringSubmatch(site); original != nil {
		p.path = original[1]
	}
	if prefix := regexp.MustCompile(`handle_path (\S+)/\*`).FindStringSubmatch(site); prefix != nil {
		p.path = prefix[1] + p.path
	}
	p.with = openedLine.ReplaceAllString(bareLine.ReplaceAllString(site, "$1 {\n\t}"), "$1\n\tendpoint UPSTREAM") + identityProvider
	p.without = wholeLine.ReplaceAllString(wholeBlock.ReplaceAllString(site, ""), "") + identityProvider
	if strings.Count(p.with, "endpoint UPSTREAM") != 1 || strings.Contains(p.without, "xai_ephemeral_token") {
		t.Fatalf("%s: the line was not found in\n%s", name, site)
	}
	return p
}

// start serves the site with or without the line.
func (p placement) start(t *testing.T, up *caddytest.Upstream, config string) *caddytest.Server {
	t.Helper()
	t.Setenv("XAI_API_KEY", caddytest.Key)
	s := caddytest.Start(t, up, config)
	if err := os.MkdirAll(filepath.Join(s.Dir, "www", "about"), 0o700); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{"index.html": "home", "app.js": "script", "about/index.html": "about"} {
		s.WriteFile(filepath.Join("www", file), content)
	}
	return s
}

// signedIn are the headers of alice, whichever way a site asks who she is.
func signedIn() []string {
	return append(caddytest.Credentials("alice", documentedPassword), "Cookie", "session=alice")
}

// restOfSite tells what the site answers everywhere but at the endpoint.
func restOfSite(s *caddytest.Server) map[string]string {
	answers := make(map[string]string)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, path := range []string{
			"/", "/app.js", "/about/", "/deep/link", "/missing.js", "/oauth2/sign_in",
			"/api/other", "/v1/other", "/session/", "/sessions", "/SESSION.html",
		} {
			for who, header := range map[string][]string{"a stranger": nil, "alice": signedIn()} {
				got := s.Do(method, s.URL+path, header...)
				answers[fmt.Sprintf("%s %s by %s", method, path, who)] = fmt.Sprintf("%d %q %q %q %q %q", got.StatusCode, got.Body,
					got.Header["Location"], got.Header["Allow"], got.Header["Content-Type"], got.Header["Cache-Control"])
			}
		}
	}
	return answers
}

// TestPlacement takes each site that the documentation shows for where the line has
// to stand. Only who signed in gets a token, nothing else of the site changes, and
// nothing is warned of.
func TestPlacement(t *testing.T) {
	var placements []placement
	sections := map[string]int{"Three sites to paste": 0, "Where the line has to stand": 0, "Authentication": 0}
	for _, b := range blocksIn(t, "caddyfile") {
		if count, sought := sections[b.section]; sought {
			sections[b.section]++
			placements = append(placements, newPlacement(t, fmt.Sprintf("%s, %d", b, count+1), b.text))
		}
	}
	for section, count := range sections {
		if count < 2 {
			t.Errorf("there are %d sites under %q", count, section)
		}
	}
	for _, p := range placements {
		t.Run(p.name, func(t *testing.T) {
			up := caddytest.NewUpstream(t)
			var want map[string]string
			// Not before a reload, in which Caddy loses connections, those to the app too.
			t.Run("without the line", func(t *testing.T) { want = restOfSite(p.start(t, up, p.without)) })
			s := p.start(t, up, p.with)
			for _, entry := range s.Logged() {
				if entry["level"] == "warn" {
					t.Errorf("Caddy warns: %v", entry["msg"])
				}
			}
			for what, got := range restOfSite(s) {
				if got != want[what] {
					t.Errorf("%s: got %s, without the line %s", what, got, want[what])
				}
			}
			for name, header := range map[string][]string{
				"a stranger":                       nil,
				"somebody with a wrong password":   caddytest.Credentials("alice", "secret"),
				"somebody who claims to be alice":  {"Remote-User", "alice", "X-Auth-Request-User", "alice", "Cookie", "session="},
				"somebody with a path of another":  {"X-Forwarded-Uri", "/about/", "X-Original-Url", "/about/"},
				"a program that talks of a method": {"X-HTTP-Method-Override", "OPTIONS"},
			} {
				got := s.Do(http.MethodPost, s.URL+p.path, header...)
				if got.StatusCode != http.StatusUnauthorized && got.StatusCode != http.StatusFound {
					t.Errorf("%s got %d %s, want 401 or 302", name, got.StatusCode, got.Body)
				}
			}
			if minted := len(up.Requests()); minted != 0 {
				t.Fatalf("%d tokens were minted for people who did not sign in", minted)
			}
			token := caddytest.DecodeToken(t, s.Do(http.MethodPost, s.URL+p.path, signedIn()...))
			up.MustOpenOneSession(t, token.Value)
		})
	}
}

// TestDocumentedCrossOrigin takes the site that the documentation shows for an app on
// another origin.
func TestDocumentedCrossOrigin(t *testing.T) {
	const app, other = "https://app.example.com", "https://other.example.com"
	preflight := []string{"Access-Control-Request-Method", "POST", "Origin"}
	for _, b := range blocksIn(t, "caddyfile") {
		if b.section != "An app on another origin" {
			continue
		}
		p := newPlacement(t, b.String(), strings.Replace(b.text, "api.example.com", "example.com", 1))
		s := p.start(t, caddytest.NewUpstream(t), p.with)
		for _, test := range []struct {
			name, method string
			header       []string
			status       int
			allowed      string
		}{
			{"a preflight of the app", "OPTIONS", append(preflight, app), 204, app},
			{"a preflight of another origin", "OPTIONS", append(preflight, other), 403, ""},
			{"the app without credentials", "POST", []string{"Origin", app}, 401, ""},
			{"the app with credentials", "POST", append(signedIn(), "Origin", app), 200, app},
			{"another origin with credentials", "POST", append(signedIn(), "Origin", other), 403, ""},
		} {
			t.Run(test.name, func(t *testing.T) {
				got := s.Do(test.method, s.URL+p.path, test.header...)
				if allowed := got.Header.Get("Access-Control-Allow-Origin"); got.StatusCode != test.status || allowed != test.allowed {
					t.Errorf("got %d for %q, want %d for %q", got.StatusCode, allowed, test.status, test.allowed)
				}
			})
		}
		return
	}
	t.Error("there is none")
}

// TestPlacementWithoutSignIn has the forms that the documentation warns of: it is
// true that they hand out tokens to strangers.
func TestPlacementWithoutSignIn(t *testing.T) {
	const password = "basic_auth%s {\nalice " + documentedHash + "\n}\n"
	anywhere := fmt.Sprintf(password, "")
	tests := []struct{ name, site string }{
		{
			"in a handle of its own, beside the handle that signs in",
			"handle /session {\n\txai_ephemeral_token\n}\nhandle {\n" + anywhere + "respond rest\n}",
		},
		{
			"in a handle of its own, beside a route that signs in",
			"handle /session {\n\txai_ephemeral_token\n}\nroute {\n" + anywhere + "respond rest\n}",
		},
		{
			"in a route, before the sign-in",
			"route {\n\txai_ephemeral_token /session\n" + anywhere + "respond rest\n}",
		},
		{
			"by the original path, after a sign-in for the changed one",
			"root * /srv/site\n@session vars {http.request.orig_uri.path} /session\n" + fmt.Sprintf(password, " /session") +
				"try_files {path} /index.html\nfile_server\n\txai_ephemeral_token @session",
		},
		{
			"by the original path, after a service that is asked about the changed one",
			"root * /srv/site\n@session vars {http.request.orig_uri.path} /session\n" +
				"forward_auth SITE2 {\nuri /by-path\n}\ntry_files {path} /index.html\nfile_server\n\txai_ephemeral_token @session",
		},
	}
	const byPath = `
http://SITE2 {
	@open header X-Forwarded-Uri /index.html
	respond @open 204
	respond 401
}
`
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPlacement(t, test.name, "example.com {\n"+test.site+"\n}\n")
			config := strings.Replace(p.with, identityProvider, byPath, 1)
			caddytest.DecodeToken(t, p.start(t, caddytest.NewUpstream(t), config).Post())
		})
	}
}

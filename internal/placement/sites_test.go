// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// siteTest is a structure that sites have, with the directive in it as somebody new
// to it would put it. Serving it shows that the verdict is right.
type siteTest struct {
	name    string
	verdict verdict
	names   []string // what the warning must name; of words in one string, any
	ask     string   // host and path to ask for a token; /session if empty
	header  []string // with which a token is asked for where it works
	depends bool     // whether a token is given depends on more than the path
	site    string   // in which TOKEN stands for the directive
}

// tokenLine is the short form of the directive in the tests.
var tokenLine = regexp.MustCompile(`TOKEN\b([^\n{]*)(\{?)`)

func (test siteTest) caddyfile() string {
	return tokenLine.ReplaceAllStringFunc(test.site, func(line string) string {
		parts := tokenLine.FindStringSubmatch(line)
		expanded := "xai_ephemeral_token" + strings.TrimRight(parts[1], " ") + " {\n\tendpoint {$XAI_URL}/v1/realtime/client_secrets\n"
		if parts[2] == "" {
			expanded += "}"
		}
		return expanded
	})
}

// served runs each site and compares what is said of it with what it does.
func served(t *testing.T, tests []siteTest) {
	t.Helper()
	world := newWorld(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := world.serve(t, test.caddyfile())
			checkVerdict(t, s.warnings(), test.verdict, test.names)
			host, path, _ := strings.Cut(test.ask, "/")
			if path = "/" + path; test.ask == "" {
				path = "/session"
			}
			switch {
			case test.depends:
			case test.verdict == works:
				if !s.mints(host, path, test.header...) {
					t.Error("there is no warning, and no token")
				}
			case test.verdict == never:
				if s.mints(host, path, test.header...) {
					t.Error("there is a warning, and a token")
				}
			case test.verdict == noSignIn:
				if !s.mints(host, path) {
					t.Error("not everybody gets a token")
				}
			case test.verdict == hides:
				page := "/"
				if test.ask != "" {
					page = path
				}
				if status, _ := s.ask(http.MethodGet, host, page); status != http.StatusMethodNotAllowed {
					t.Errorf("the page is there: %d", status)
				}
			case test.verdict == header:
				const origin = "https://app.example.com"
				_, got := s.ask(http.MethodPost, host, path, "Origin", origin)
				origins := got.Values("Access-Control-Allow-Origin")
				if got.Get("Cache-Control") == "no-store" && len(origins) == 1 && origins[0] == origin {
					t.Errorf("the header is as it should be: %v", got)
				}
			}
		})
	}
}

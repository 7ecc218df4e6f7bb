// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// verdict is what is said of a place.
type verdict string

const (
	works    verdict = ""
	never    verdict = "never reaches"
	noSignIn verdict = "gives tokens to anybody"
	header   verdict = "deferred header"
	hides    verdict = "takes every request"
)

// TestCases has what each file of testdata/cases says in its first line.
func TestCases(t *testing.T) {
	tests := []struct {
		file    string
		verdict verdict
		names   []string // what the warning must name; of words in one string, any
		mints   []string // hosts and paths that give a token
		refuses []string // hosts and paths that do not
	}{
		{"01-proxy-catch-all", works, nil, []string{"/session"}, []string{"/other"}},
		{"02-spa-top-level-try_files", never, []string{"try_files rewrite", "/session", "handle"}, nil, []string{"/session"}},
		{"03-spa-two-handles", works, nil, []string{"/session"}, []string{"/other"}},
		{"04-spa-handle-beside-try_files", never, []string{"try_files rewrite", "/session"}, nil, []string{"/session"}},
		{"05-catch-all-handle", never, []string{"handle reverse_proxy", "/session"}, nil, []string{"/session"}},
		{"06-handle-that-does-not-answer", works, nil, []string{"/session"}, []string{"/static/app.js"}},
		{"07-route-with-everything", never, []string{"file_server route", "/session"}, nil, []string{"/session"}},
		{"08-sign-in-left-out", noSignIn, []string{"forward_auth", "/session"}, []string{"/session"}, nil},
		{"09-sign-in-in-the-same-block", works, nil, nil, []string{"/session"}},
		{"10-sign-in-on-another-path", works, nil, []string{"/session"}, nil},
		{"11-header-deferred-by-a-delete", header, []string{"Cache-Control"}, []string{"/session"}, nil},
		{"12-header-deferred-same-value", works, nil, []string{"/session"}, nil},
		{"13-cors-second-value", header, []string{"Access-Control-Allow-Origin"}, []string{"/session"}, nil},
		{"14-redirect-of-www", works, nil, []string{"example.localhost/session"}, []string{"www.example.localhost/session"}},
		{"15-redirect-trailing-slash", never, []string{"redir", "/session"}, nil, []string{"/session"}},
		{"16-wildcard-hosts", never, []string{"a.example.localhost", "handle reverse_proxy", "/session"}, []string{"c.example.localhost/session"}, []string{"a.example.localhost/session", "b.example.localhost/session"}},
		{"17-handle_path-around-it", works, nil, []string{"/api/session"}, []string{"/session", "/api/other"}},
		{"18-handle-that-does-not-strip", never, []string{"handle", "/session"}, nil, []string{"/session", "/api/session"}},
		{"19-depends-on-a-cookie", works, nil, nil, []string{"/session"}},
		{"20-named-route-sets-headers", works, nil, []string{"/session"}, nil},
		{"21-two-paths-one-taken", never, []string{"/token", "handle reverse_proxy"}, []string{"/session"}, []string{"/token"}},
		{"22-no-matcher-beside-files", hides, []string{"matcher", "file_server"}, []string{"/session", "/about.html"}, nil},
		{"23-no-matcher-in-the-block-of-a-host", works, nil, []string{"token.example.localhost/session"}, []string{"a.example.localhost/session"}},
	}
	files, err := filepath.Glob("testdata/cases/*.Caddyfile")
	if err != nil || len(files) != len(tests) {
		t.Fatalf("there are %d files and %d tests: %v", len(files), len(tests), err)
	}
	world := newWorld(t)
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			config, err := os.ReadFile(filepath.Join("testdata", "cases", test.file+".Caddyfile"))
			if err != nil {
				t.Fatal(err)
			}
			s := world.serve(t, string(config))
			checkVerdict(t, s.warnings(), test.verdict, test.names)
			for _, at := range test.mints {
				if host, path, _ := strings.Cut(at, "/"); !s.mints(host, "/"+path) {
					t.Errorf("%s gave no token", at)
				}
			}
			for _, at := range test.refuses {
				if host, path, _ := strings.Cut(at, "/"); s.mints(host, "/"+path) {
					t.Errorf("%s gave a token", at)
				}
			}
			loaded := len(s.warnings())
			s.validate(s.config)
			checkVerdict(t, s.warnings()[loaded:], test.verdict, test.names)
		})
	}
}

// checkVerdict expects one warning of the kind with the names in it, or none.
func checkVerdict(t *testing.T, said []string, want verdict, names []string) {
	t.Helper()
	for _, warning := range said {
		t.Log(warning)
	}
	if want == works {
		if len(said) != 0 {
			t.Errorf("there are warnings about what works: %q", said)
		}
		return
	}
	if len(said) != 1 || !strings.Contains(said[0], string(want)) {
		t.Fatalf("got %q, want one that says %q", said, want)
	}
	for _, oneOf := range names {
		found := false
		for name := range strings.FieldsSeq(oneOf) {
			found = found || strings.Contains(said[0], name)
		}
		if !found {
			t.Errorf("%q names nothing of %s", said[0], oneOf)
		}
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// keySite takes its key from a placeholder expression.
func keySite(key string) string {
	return `
http://SITE {
	map {path} {tenant_key} {
		/tenant/a ` + caddytest.Key + `
		/tenant/b wrong
		default ""
	}
	vars site_key ` + caddytest.Key + `
	xai_ephemeral_token /tenant/* "` + key + `" {
		endpoint UPSTREAM
		rate_limit off
	}
	xai_ephemeral_token /session "` + key + `" {
		endpoint UPSTREAM
		rate_limit off
	}
}
`
}

func TestAPIKeySources(t *testing.T) {
	t.Setenv("XAI_TEST_KEY", caddytest.Key)
	file := filepath.Join(t.TempDir(), "key")
	caddytest.WriteFile(t, file, " "+caddytest.Key+"\r\n\n")
	tests := []struct {
		name, key, path string
		header          []string
		status          int
	}{
		{"the environment", "{env.XAI_TEST_KEY}", "/session", nil, 200},
		{"a file", "{file." + filepath.ToSlash(file) + "}", "/session", nil, 200},
		{"a literal", caddytest.Key, "/session", nil, 200},
		{"vars", "{vars.site_key}", "/session", nil, 200},
		{"a header", "{header.X-Key}", "/session", []string{"X-Key", caddytest.Key}, 200},
		{"white space around it", "  {header.X-Key} ", "/session", []string{"X-Key", caddytest.Key}, 200},
		{"a map", "{tenant_key}", "/tenant/a", nil, 200},
		{"a map to a bad key", "{tenant_key}", "/tenant/b", nil, 502},
		{"a map to nothing", "{tenant_key}", "/tenant/c", nil, 500},
		{"a header that is absent", "{header.X-Key}", "/session", nil, 500},
		{"a placeholder that nobody sets", "{no.such.thing}", "/session", nil, 500},
		{"a key that cannot be a header value", "{query.key}", "/session?key=a%0Ab", nil, 500},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			up := caddytest.NewUpstream(t)
			s := caddytest.Start(t, up, keySite(test.key))
			got := s.Do(http.MethodPost, s.URL+test.path, test.header...)
			if got.StatusCode != test.status {
				t.Errorf("got %d %q, want %d", got.StatusCode, got.Body, test.status)
			}
			if n := len(up.Requests()); (n == 0) != (test.status == http.StatusInternalServerError) {
				t.Errorf("xAI was called %d times", n)
			}
		})
	}
}

func TestAPIKeyRotation(t *testing.T) {
	up := caddytest.NewUpstream(t)
	file := filepath.Join(t.TempDir(), "key")
	caddytest.WriteFile(t, file, "old")
	s := caddytest.Start(t, up, keySite("{file."+filepath.ToSlash(file)+"}"))
	if got := s.Post(); got.StatusCode != http.StatusBadGateway {
		t.Fatalf("the old key got %d, want 502", got.StatusCode)
	}
	caddytest.WriteFile(t, file, caddytest.Key)
	caddytest.DecodeToken(t, s.Post())
	caddytest.WriteFile(t, file, "")
	if got := s.Post(); got.StatusCode != http.StatusInternalServerError {
		t.Errorf("no key got %d, want 500", got.StatusCode)
	}
}

func TestEmptyAPIKeyFailsTheLoad(t *testing.T) {
	t.Setenv("XAI_API_KEY", "")
	t.Setenv("XAI_BLANK_KEY", " \n")
	s := caddytest.Start(t, caddytest.NewUpstream(t), `http://SITE2 {
	respond ok
}`)
	s.WriteFile("empty", "\n")
	tests := []struct{ name, options, placeholder string }{
		{"the default", "", "{env.XAI_API_KEY}"},
		{"an unset variable", "api_key {env.XAI_UNSET_KEY}", "{env.XAI_UNSET_KEY}"},
		{"a blank variable", "api_key {env.XAI_BLANK_KEY}", "{env.XAI_BLANK_KEY}"},
		{"an empty file", "api_key {file.DIR/empty}", "{file."},
		{"several", "api_key {env.XAI_UNSET_KEY}{env.XAI_BLANK_KEY}", "{env.XAI_UNSET_KEY}{env.XAI_BLANK_KEY}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := s.Load("http://SITE {\n\txai_ephemeral_token {\n\t\tretries 1\n\t\t" + test.options + "\n\t}\n}\n")
			if err == nil || !strings.Contains(err.Error(), "api_key: "+test.placeholder) ||
				!strings.Contains(err.Error(), "is empty; set it, or name another placeholder") {
				t.Errorf("got error %v", err)
			}
		})
	}
}

// TestHopelessAPIKeyFailsTheLoad has keys of which it is known at load that no
// request can be made with them.
func TestHopelessAPIKeyFailsTheLoad(t *testing.T) {
	s := caddytest.Start(t, caddytest.NewUpstream(t), `http://SITE2 {
	respond ok
}`)
	s.WriteFile("lines", "SECRET1\nSECRET2\n")
	s.WriteFile("control", "SECRET\a")
	tests := []struct{ name, key, want string }{
		{"a missing file", "{file.DIR/missing}", "api_key: {file.DIR/missing} cannot be read: no such file or directory"},
		{"a folder", "{file.DIR}", "api_key: {file.DIR} cannot be read: is a directory"},
		{"a file of several lines", "{file.DIR/lines}", "api_key: {file.DIR/lines} has a line break in it"},
		{"a control character", "{file.DIR/control}", "api_key: {file.DIR/control} has a control character in it"},
		{"a file without its path", "{file.SECRET-name}", "to read the key from a file, write its path with a slash"},
		{"the body of the request", "{http.request.body}", "api_key: {http.request.body} cannot be used"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := s.Load("http://SITE {\n\txai_ephemeral_token /session " + test.key + "\n}\n")
			if want := s.Expand(test.want); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want %s", err, want)
			}
			if err != nil && (strings.Contains(err.Error(), "SECRET1") || strings.Contains(err.Error(), "SECRET2")) {
				t.Errorf("the error %q tells a secret", err)
			}
		})
	}
}

// TestAPIKeyMistakesAreWarnedOf has keys that are probably not meant. Nothing of a
// key is in the warning.
func TestAPIKeyMistakesAreWarnedOf(t *testing.T) {
	t.Setenv("XAI_TEST_KEY", "") // whatever it was, it is so again afterwards
	const word = "the word behind xai_ephemeral_token is taken for the API key"
	const literal = "the API key stands in the config itself"
	tests := []struct {
		name, key, value string
		want             []string
	}{
		{"nothing wrong", "{env.XAI_TEST_KEY}", "xai-SECRET", nil},
		{"blanks that nobody sees around it", "{env.XAI_TEST_KEY}", "\ufeff xai-SECRET\u200b\n", nil},
		{"not ASCII", "{env.XAI_TEST_KEY}", "xai-SECRET–1", []string{"the API key has characters that are not ASCII"}},
		{"quotes", "{env.XAI_TEST_KEY}", `"xai-SECRET"`, []string{"the API key is in quotes"}},
		{"other quotes", "{env.XAI_TEST_KEY}", `'xai-SECRET'`, []string{"the API key is in quotes"}},
		{"a scheme", "{env.XAI_TEST_KEY}", "Bearer xai-SECRET", []string{"the API key begins with Bearer"}},
		{"a line of a file of variables", "{env.XAI_TEST_KEY}", "XAI_API_KEY=xai-SECRET", []string{"the API key is a line like NAME=value"}},
		{"a line of a script", "{env.XAI_TEST_KEY}", "export XAI_API_KEY=xai-SECRET", []string{"the API key is a line like NAME=value"}},
		{"an unexpanded variable", "{env.XAI_TEST_KEY}", "${SECRET}", []string{"the API key has a ${…} in it that nobody expanded"}},
		{"a path", "{env.XAI_TEST_KEY}", "/run/SECRET", []string{"the API key looks like the path of a file"}},
		{"a path of Windows", "{env.XAI_TEST_KEY}", `C:\run\SECRET`, []string{"the API key looks like the path of a file"}},
		{"a placeholder without env", "{XAI_TEST_KEY}", "xai-SECRET",
			[]string{"{XAI_TEST_KEY} is no placeholder of Caddy's, but the environment has XAI_TEST_KEY; {env.XAI_TEST_KEY} is probably meant"}},
		{"a variable of a shell", "${XAI_TEST_KEY}", "xai-SECRET", []string{"the API key has a ${…} in it that nobody expanded", literal}},
		{"a literal", "xai-SECRET", "", []string{literal}},
		{"a literal with a scheme", `"Bearer xai-SECRET"`, "", []string{"the API key begins with Bearer", literal}},
		{"a word without its slash", "session", "", []string{word}},
		{"words without their slash", "api/session", "", []string{word}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("XAI_TEST_KEY", test.value)
			s := caddytest.Start(t, caddytest.NewUpstream(t), "http://SITE {\n\t@session path /session\n\txai_ephemeral_token @session "+test.key+"\n}\n")
			var got []string
			for _, entry := range s.Logged() {
				if entry["level"] == "warn" {
					got = append(got, entry["msg"].(string))
				}
			}
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("warned %q, want %q", got, test.want)
			}
			if all := strings.Join(got, " "); strings.Contains(all, "SECRET") {
				t.Errorf("%q tells a secret", all)
			}
		})
	}
}

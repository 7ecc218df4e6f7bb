// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// keySite takes its key from a placeholder expression.
func keySite(key string) string {
	return `
http://SITE {
	map {path} {tenant_key} {
		/tenant/a ` + testKey + `
		/tenant/b wrong
		default ""
	}
	vars site_key ` + testKey + `
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
	t.Setenv("XAI_TEST_KEY", testKey)
	file := filepath.Join(t.TempDir(), "key")
	writeFile(t, file, " "+testKey+"\r\n\n")
	tests := []struct {
		name, key, path string
		header          []string
		status          int
	}{
		{"the environment", "{env.XAI_TEST_KEY}", "/session", nil, 200},
		{"a file", "{file." + filepath.ToSlash(file) + "}", "/session", nil, 200},
		{"a literal", testKey, "/session", nil, 200},
		{"vars", "{vars.site_key}", "/session", nil, 200},
		{"a header", "{header.X-Key}", "/session", []string{"X-Key", testKey}, 200},
		{"white space around it", "  {header.X-Key} ", "/session", []string{"X-Key", testKey}, 200},
		{"a map", "{tenant_key}", "/tenant/a", nil, 200},
		{"a map to a bad key", "{tenant_key}", "/tenant/b", nil, 502},
		{"a map to nothing", "{tenant_key}", "/tenant/c", nil, 500},
		{"a header that is absent", "{header.X-Key}", "/session", nil, 500},
		{"a placeholder that nobody sets", "{no.such.thing}", "/session", nil, 500},
		{"a key that cannot be a header value", "{query.key}", "/session?key=a%0Ab", nil, 500},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			up := newUpstream(t)
			s := startCaddy(t, up, keySite(test.key))
			got := s.do(http.MethodPost, s.url+test.path, test.header...)
			if got.StatusCode != test.status {
				t.Errorf("got %d %q, want %d", got.StatusCode, got.body, test.status)
			}
			if n := len(up.requests()); (n == 0) != (test.status == http.StatusInternalServerError) {
				t.Errorf("xAI was called %d times", n)
			}
		})
	}
}

func TestAPIKeyRotation(t *testing.T) {
	up := newUpstream(t)
	file := filepath.Join(t.TempDir(), "key")
	writeFile(t, file, "old")
	s := startCaddy(t, up, keySite("{file."+filepath.ToSlash(file)+"}"))
	if got := s.post(); got.StatusCode != http.StatusBadGateway {
		t.Fatalf("the old key got %d, want 502", got.StatusCode)
	}
	writeFile(t, file, testKey)
	decodeToken(t, s.post())
	writeFile(t, file, "")
	if got := s.post(); got.StatusCode != http.StatusInternalServerError {
		t.Errorf("no key got %d, want 500", got.StatusCode)
	}
}

func TestEmptyAPIKeyFailsTheLoad(t *testing.T) {
	t.Setenv("XAI_API_KEY", "")
	t.Setenv("XAI_BLANK_KEY", " \n")
	s := startCaddy(t, newUpstream(t), `http://SITE2 {
	respond ok
}`)
	s.writeFile("empty", "\n")
	tests := []struct{ name, options, placeholder string }{
		{"the default", "", "{env.XAI_API_KEY}"},
		{"an unset variable", "api_key {env.XAI_UNSET_KEY}", "{env.XAI_UNSET_KEY}"},
		{"a blank variable", "api_key {env.XAI_BLANK_KEY}", "{env.XAI_BLANK_KEY}"},
		{"a missing file", "api_key {file.DIR/missing}", "{file."},
		{"an empty file", "api_key {file.DIR/empty}", "{file."},
		{"several", "api_key {env.XAI_UNSET_KEY}{env.XAI_BLANK_KEY}", "{env.XAI_UNSET_KEY}{env.XAI_BLANK_KEY}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := s.load("http://SITE {\n\txai_ephemeral_token {\n\t\tretries 1\n\t\t" + test.options + "\n\t}\n}\n")
			if err == nil || !strings.Contains(err.Error(), "api_key: "+test.placeholder) ||
				!strings.Contains(err.Error(), "is empty; set it, or name another placeholder with the api_key option") {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestLiteralAPIKeyIsWarnedOf(t *testing.T) {
	s := startCaddy(t, newUpstream(t), simpleSite)
	warned := false
	for _, entry := range s.logged() {
		warned = warned || entry["level"] == "warn" && strings.HasPrefix(entry["msg"].(string), "the API key stands in the config itself")
	}
	if !warned {
		t.Error("no warning was logged")
	}
	t.Setenv("XAI_TEST_KEY", testKey)
	s = startCaddy(t, newUpstream(t), strings.Replace(simpleSite, testKey, "{env.XAI_TEST_KEY}", 1))
	for _, entry := range s.logged() {
		if entry["level"] == "warn" {
			t.Errorf("a placeholder was warned of: %v", entry)
		}
	}
}

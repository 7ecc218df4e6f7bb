// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/http"
	"path/filepath"
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
		{"a missing file", "api_key {file.DIR/missing}", "{file."},
		{"an empty file", "api_key {file.DIR/empty}", "{file."},
		{"several", "api_key {env.XAI_UNSET_KEY}{env.XAI_BLANK_KEY}", "{env.XAI_UNSET_KEY}{env.XAI_BLANK_KEY}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := s.Load("http://SITE {\n\txai_ephemeral_token {\n\t\tretries 1\n\t\t" + test.options + "\n\t}\n}\n")
			if err == nil || !strings.Contains(err.Error(), "api_key: "+test.placeholder) ||
				!strings.Contains(err.Error(), "is empty; set it, or name another placeholder with the api_key option") {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestLiteralAPIKeyIsWarnedOf(t *testing.T) {
	s := caddytest.Start(t, caddytest.NewUpstream(t), caddytest.Site("rate_limit off"))
	warned := false
	for _, entry := range s.Logged() {
		warned = warned || entry["level"] == "warn" && strings.HasPrefix(entry["msg"].(string), "the API key stands in the config itself")
	}
	if !warned {
		t.Error("no warning was logged")
	}
	t.Setenv("XAI_TEST_KEY", caddytest.Key)
	s = caddytest.Start(t, caddytest.NewUpstream(t), strings.Replace(caddytest.Site("rate_limit off"), caddytest.Key, "{env.XAI_TEST_KEY}", 1))
	for _, entry := range s.Logged() {
		if entry["level"] == "warn" {
			t.Errorf("a placeholder was warned of: %v", entry)
		}
	}
}

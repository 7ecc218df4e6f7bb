// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// postTo posts to the site under another name, and returns the key that xAI was
// shown for it, nothing if it was not called.
func postTo(t *testing.T, s *caddytest.Server, up *caddytest.Upstream, host string) (got caddytest.Answer, key string) {
	t.Helper()
	before := len(up.Requests())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/session", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	got = s.Send(req)
	var keys []string
	for _, sent := range up.Requests()[before:] {
		keys = append(keys, strings.TrimPrefix(sent.Header.Get("Authorization"), "Bearer "))
	}
	return got, strings.Join(keys, "")
}

func TestExampleMultiTenant(t *testing.T) {
	up := caddytest.NewUpstream(t)
	up.APIKey = "" // any key can mint
	keys := t.TempDir()
	caddytest.WriteFile(t, filepath.Join(keys, "red"), "key-of-red\n")
	caddytest.WriteFile(t, filepath.Join(keys, "blue"), "key-of-blue\n")
	s := startExample(t, up, "multi-tenant", map[string]string{
		"SITE_ADDRESS": "http://*.example.com:PORT", "DOMAIN": "example.com", "KEY_DIR": filepath.ToSlash(keys),
	})

	for _, test := range []struct{ name, host, key string }{
		{"a tenant", "red.example.com", "key-of-red"},
		{"another tenant", "blue.example.com", "key-of-blue"},
		{"a tenant, with a port", "blue.example.com:8000", "key-of-blue"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, key := postTo(t, s, up, test.host)
			if key != test.key {
				t.Errorf("xAI was shown the key %q, want %q", key, test.key)
			}
			up.MustOpenOneSession(t, caddytest.DecodeToken(t, got).Value)
		})
	}
	for _, host := range []string{
		"green.example.com", "red.blue.example.com", "red", "example.com", "red.example.org", "red.example.com.",
		"redexample.com", "127.0.0.1", "{file." + filepath.ToSlash(keys) + "/red}.example.com", "*.example.com",
	} {
		t.Run("nobody is "+host, func(t *testing.T) {
			got, key := postTo(t, s, up, host)
			if key != "" || strings.Contains(got.Body, "xai-realtime-client-secret-") {
				t.Errorf("got %d %q with the key %q", got.StatusCode, got.Body, key)
			}
		})
	}
	t.Run("a host that nobody listed gets 500", func(t *testing.T) {
		if got, _ := postTo(t, s, up, "green.example.com"); got.StatusCode != http.StatusInternalServerError {
			t.Errorf("got %d, want 500", got.StatusCode)
		}
	})
	t.Run("a header does not choose the tenant", func(t *testing.T) {
		got := s.Do(http.MethodPost, s.URL+"/session", "X-Forwarded-Host", "red.example.com")
		if got.StatusCode == http.StatusOK && got.Body != "" {
			t.Errorf("got %d %q", got.StatusCode, got.Body)
		}
	})
	t.Run("a limit that one tenant's visitor used up is not the other's", func(t *testing.T) {
		for range 9 { // and one before
			got, _ := postTo(t, s, up, "red.example.com")
			caddytest.DecodeToken(t, got)
		}
		if got, _ := postTo(t, s, up, "red.example.com"); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("got %d, want 429", got.StatusCode)
		}
		got, _ := postTo(t, s, up, "blue.example.com")
		caddytest.DecodeToken(t, got)
	})
	t.Run("a key that is replaced counts without a reload, for its tenant alone", func(t *testing.T) {
		caddytest.WriteFile(t, filepath.Join(keys, "blue"), "new-key-of-blue\n")
		if _, key := postTo(t, s, up, "blue.example.com"); key != "new-key-of-blue" {
			t.Errorf("xAI was shown the key %q", key)
		}
	})
	t.Run("a key that is gone is nobody's", func(t *testing.T) {
		caddytest.WriteFile(t, filepath.Join(keys, "blue"), "")
		if got, key := postTo(t, s, up, "blue.example.com"); got.StatusCode != http.StatusInternalServerError || key != "" {
			t.Errorf("got %d with the key %q, want 500", got.StatusCode, key)
		}
	})
}

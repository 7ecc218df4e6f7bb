// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// ask posts to the site under another name, and returns the key that xAI was
// shown for it, nothing if it was not called.
func (s *caddyServer) ask(t *testing.T, up *upstream, host string) (got answer, key string) {
	t.Helper()
	before := len(up.requests())
	req, err := newRequest(t.Context(), http.MethodPost, s.url+"/session")
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	got = s.send(req)
	var keys []string
	for _, sent := range up.requests()[before:] {
		keys = append(keys, strings.TrimPrefix(sent.Header.Get("Authorization"), "Bearer "))
	}
	return got, strings.Join(keys, "")
}

func TestExampleMultiTenant(t *testing.T) {
	up := newUpstream(t)
	up.APIKey = "" // any key can mint
	keys := t.TempDir()
	writeFile(t, filepath.Join(keys, "red"), "key-of-red\n")
	writeFile(t, filepath.Join(keys, "blue"), "key-of-blue\n")
	s := startExample(t, up, "multi-tenant", map[string]string{
		"SITE_ADDRESS": "http://*.example.com:PORT", "DOMAIN": "example.com", "KEY_DIR": filepath.ToSlash(keys),
	})

	for _, test := range []struct{ name, host, key string }{
		{"a tenant", "red.example.com", "key-of-red"},
		{"another tenant", "blue.example.com", "key-of-blue"},
		{"a tenant, with a port", "blue.example.com:8000", "key-of-blue"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, key := s.ask(t, up, test.host)
			if key != test.key {
				t.Errorf("xAI was shown the key %q, want %q", key, test.key)
			}
			up.mustOpenOneSession(t, decodeToken(t, got).Value)
		})
	}
	for _, host := range []string{
		"green.example.com", "red.blue.example.com", "red", "example.com", "red.example.org", "red.example.com.",
		"redexample.com", "127.0.0.1", "{file." + filepath.ToSlash(keys) + "/red}.example.com", "*.example.com",
	} {
		t.Run("nobody is "+host, func(t *testing.T) {
			got, key := s.ask(t, up, host)
			if key != "" || strings.Contains(got.body, "xai-realtime-client-secret-") {
				t.Errorf("got %d %q with the key %q", got.StatusCode, got.body, key)
			}
		})
	}
	t.Run("a host that nobody listed gets 500", func(t *testing.T) {
		if got, _ := s.ask(t, up, "green.example.com"); got.StatusCode != http.StatusInternalServerError {
			t.Errorf("got %d, want 500", got.StatusCode)
		}
	})
	t.Run("a header does not choose the tenant", func(t *testing.T) {
		got := s.do(http.MethodPost, s.url+"/session", "X-Forwarded-Host", "red.example.com")
		if got.StatusCode == http.StatusOK && got.body != "" {
			t.Errorf("got %d %q", got.StatusCode, got.body)
		}
	})
	t.Run("a limit that one tenant's visitor used up is not the other's", func(t *testing.T) {
		for range 9 { // and one before
			got, _ := s.ask(t, up, "red.example.com")
			decodeToken(t, got)
		}
		if got, _ := s.ask(t, up, "red.example.com"); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("got %d, want 429", got.StatusCode)
		}
		got, _ := s.ask(t, up, "blue.example.com")
		decodeToken(t, got)
	})
	t.Run("a key that is replaced counts without a reload, for its tenant alone", func(t *testing.T) {
		writeFile(t, filepath.Join(keys, "blue"), "new-key-of-blue\n")
		if _, key := s.ask(t, up, "blue.example.com"); key != "new-key-of-blue" {
			t.Errorf("xAI was shown the key %q", key)
		}
	})
	t.Run("a key that is gone is nobody's", func(t *testing.T) {
		writeFile(t, filepath.Join(keys, "blue"), "")
		if got, key := s.ask(t, up, "blue.example.com"); got.StatusCode != http.StatusInternalServerError || key != "" {
			t.Errorf("got %d with the key %q, want 500", got.StatusCode, key)
		}
	})
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package observability

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// warned returns the warnings with a beginning, in their order.
func warned(s *caddytest.Server, beginning string) (entries []map[string]any) {
	for _, entry := range s.Logged() {
		if entry["level"] == "warn" && strings.HasPrefix(entry["msg"].(string), beginning) {
			entries = append(entries, entry)
		}
	}
	return entries
}

// TestRefusedOriginsAreToldOnce has pages ask whose origins the owner may have
// forgotten.
func TestRefusedOriginsAreToldOnce(t *testing.T) {
	const refused = "a page of another origin asked for a token and was refused; if it is yours, add it to trusted_origins"
	// Two handlers in one config share the bound.
	config := caddytest.Site("rate_limit off", "trusted_origins https://app.example.com") +
		strings.Replace(caddytest.Site("rate_limit off"), "SITE", "SITE2", 1)
	s := caddytest.Start(t, caddytest.NewUpstream(t), config)
	want := func(origins ...string) {
		t.Helper()
		var got []string
		for _, entry := range warned(s, refused) {
			got = append(got, entry["origin"].(string))
		}
		if fmt.Sprint(got) != fmt.Sprint(origins) {
			t.Errorf("told of %v, want %v", got, origins)
		}
	}

	s.Post("Origin", "https://app.example.com")
	s.Post("Sec-Fetch-Site", "cross-site")
	want()
	for range 3 {
		s.Post("Origin", "https://staging.example.com")
		s.Do(http.MethodPost, s.URL2+"/session", "Origin", "https://staging.example.com")
	}
	want("https://staging.example.com")
	s.Do(http.MethodOptions, s.URL+"/session", "Origin", "https://asks.example.com", "Access-Control-Request-Method", "POST")
	want("https://staging.example.com", "https://asks.example.com")
	long := "https://" + strings.Repeat("a", 1000)
	s.Post("Origin", long)
	want("https://staging.example.com", "https://asks.example.com", long[:256])
	for i := range 100 {
		s.Do(http.MethodPost, s.URL2+"/session", "Origin", fmt.Sprintf("https://%d.example.com", i))
	}
	if n := len(warned(s, refused)); n != 20 {
		t.Errorf("told of %d origins, want 20", n)
	}
	s.Reload(config)
	s.Post("Origin", "https://staging.example.com")
	if n := len(warned(s, refused)); n != 21 {
		t.Errorf("told of %d origins after a reload, want 21", n)
	}
}

// TestAddressOfProxyIsToldOnce has requests come through a proxy that may not be
// trusted.
func TestAddressOfProxyIsToldOnce(t *testing.T) {
	const shared = "requests come through a proxy that Caddy does not trust, so that all its clients share one rate limit"
	const trusted = "trusted_proxies static 127.0.0.1/32"
	tests := []struct {
		name    string
		proxies string // the option of Caddy's servers
		options []string
		header  []string
		want    int
	}{
		{"nobody is trusted", "", nil, []string{"X-Forwarded-For", "192.0.2.1"}, 1},
		{"nobody is trusted, in the words of the standard", "", nil, []string{"Forwarded", "for=192.0.2.1"}, 1},
		{"the proxy is trusted", trusted, nil, []string{"X-Forwarded-For", "192.0.2.1"}, 0},
		{"there is no proxy", "", nil, nil, 0},
		{"nothing is limited", "", []string{"rate_limit off"}, []string{"X-Forwarded-For", "192.0.2.1"}, 0},
		{"users are limited", "", []string{"rate_limit 10 1m {header.X-User}"}, []string{"X-Forwarded-For", "192.0.2.1", "X-User", "alice"}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := caddytest.StartBy(t, caddytest.NewUpstream(t), func(s *caddytest.Server) error {
				return s.LoadWhole(s.Expand(strings.Replace(caddytest.GlobalOptions, trusted, test.proxies, 1) + caddytest.Site(test.options...)))
			})
			for range 3 {
				caddytest.DecodeToken(t, s.Post(test.header...))
			}
			entries := warned(s, shared)
			if len(entries) != test.want {
				t.Errorf("told %d times, want %d", len(entries), test.want)
			}
			for _, entry := range entries {
				if entry["proxy"] != "127.0.0.1" {
					t.Errorf("told of %v", entry["proxy"])
				}
			}
		})
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

func TestEndpointPlaceholders(t *testing.T) {
	up := caddytest.NewUpstream(t)
	site := strings.Replace(caddytest.Site("rate_limit off"), "UPSTREAM", "{env.XAI_TEST_ENDPOINT}", 1)
	t.Setenv("XAI_TEST_ENDPOINT", up.Endpoint())
	s := caddytest.Start(t, up, site)
	caddytest.DecodeToken(t, s.Post())

	for name, test := range map[string]struct{ value, want string }{
		"unset":    {"", "endpoint: evaluated placeholder {env.XAI_TEST_ENDPOINT} is empty"},
		"no URL":   {"api.x.ai", "endpoint: not an absolute http or https URL"},
		"a secret": {"https://user:SECRET@api.x.ai", "endpoint: the URL must not have user information"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XAI_TEST_ENDPOINT", test.value)
			err := s.Load(site)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("got error %v, want %s", err, test.want)
			}
		})
	}
}

// TestFastCGIIsRefused has a transport that speaks no HTTP: each call would panic.
func TestFastCGIIsRefused(t *testing.T) {
	s := caddytest.Start(t, caddytest.NewUpstream(t), "http://SITE2 {\nrespond ok\n}\n")
	err := s.Load(caddytest.Site("transport fastcgi"))
	if err == nil || !strings.Contains(err.Error(), "transport: module *fastcgi.Transport does not speak HTTP") {
		t.Errorf("got error %v", err)
	}
}

func TestPlainEndpointElsewhereIsWarnedOf(t *testing.T) {
	const warning = "the endpoint is plain http on another machine: the API key crosses the network unencrypted"
	t.Setenv("XAI_TEST_KEY", caddytest.Key)
	for endpoint, want := range map[string]bool{"http://192.0.2.1/v1": true, "UPSTREAM": false, "https://192.0.2.1/v1": false} {
		t.Run(endpoint, func(t *testing.T) {
			s := caddytest.Start(t, caddytest.NewUpstream(t), strings.NewReplacer("UPSTREAM", endpoint, caddytest.Key, "{env.XAI_TEST_KEY}").Replace(caddytest.Site("rate_limit off")))
			warned := false
			for _, entry := range s.Logged() {
				warned = warned || entry["level"] == "warn" && entry["msg"] == warning
			}
			if warned != want {
				t.Errorf("warned is %t, want %t", warned, want)
			}
		})
	}
}

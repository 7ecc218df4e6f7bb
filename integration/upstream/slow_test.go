// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestSlow has an xAI that takes longer than an attempt's share of the time: it is
// not taken for a dead one, and not asked by more than two calls.
func TestSlow(t *testing.T) {
	const latency = 4500 * time.Millisecond
	ca := caddytest.NewAuthority(t, t.TempDir())
	ca.IssueServer("server", nil, net.IPv4(127, 0, 0, 1))
	for name, start := range map[string]func(t *testing.T) (*caddytest.Upstream, string){
		"HTTP/1.1": func(t *testing.T) (*caddytest.Upstream, string) {
			t.Helper()
			return caddytest.NewUpstream(t), ""
		},
		"HTTP/2.0": func(t *testing.T) (*caddytest.Upstream, string) {
			t.Helper()
			up := caddytest.NewTLSUpstream(t, &tls.Config{Certificates: []tls.Certificate{ca.Load("server")}, MinVersion: tls.VersionTLS12})
			return up, "transport http {\ntls_trust_pool file " + filepath.ToSlash(ca.Dir) + "/ca.crt\n}"
		},
	} {
		t.Run(name, func(t *testing.T) {
			up, transport := start(t)
			up.Latency = latency
			s := caddytest.Start(t, up, caddytest.Site("rate_limit off", transport))
			began := time.Now()
			caddytest.DecodeToken(t, s.Post())
			if took := time.Since(began); took < latency || took > latency+time.Second {
				t.Errorf("a token after %s from an xAI that takes %s", took, latency)
			}
			if proto := up.Requests()[0].Proto; proto != name {
				t.Errorf("xAI was called over %s", proto)
			}
			if n := len(up.Requests()); n > 2 {
				t.Errorf("xAI was called %d times", n)
			}
		})
	}
}

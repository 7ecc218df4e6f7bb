// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// newMutualTLSUpstream is an upstream that wants a client certificate of the
// authority and shows the named one of its own.
func newMutualTLSUpstream(t *testing.T, a *caddytest.Authority, certificate string) *caddytest.Upstream {
	t.Helper()
	clients := x509.NewCertPool()
	clients.AddCert(a.Certificate)
	return caddytest.NewTLSUpstream(t, &tls.Config{
		Certificates: []tls.Certificate{a.Load(certificate)},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    clients,
		MinVersion:   tls.VersionTLS12,
	})
}

func TestMutualTLSToUpstream(t *testing.T) {
	const name = "mtls.x.test"
	t.Setenv("XAI_TEST_SERVER_NAME", name)
	t.Setenv("XAI_TEST_WRONG_NAME", "api.x.test")
	dir := t.TempDir()
	ca := caddytest.NewAuthority(t, dir)
	ca.IssueServer("by-address", nil, net.IPv4(127, 0, 0, 1))
	ca.IssueServer("by-name", []string{name})
	ca.IssueClient("team")
	stranger := caddytest.NewAuthority(t, t.TempDir())
	stranger.IssueClient("stranger")

	trust := "tls_trust_pool file " + filepath.ToSlash(filepath.Join(dir, "ca.crt")) + "\n"
	clientAuth := func(a *caddytest.Authority, name string) string {
		file := filepath.ToSlash(filepath.Join(a.Dir, name))
		return "tls_client_auth " + file + ".crt " + file + ".key\n"
	}
	auth := clientAuth(ca, "team")
	tests := []struct {
		name, certificate, transport string
		status                       int
		serverName                   string
	}{
		{"with our certificate", "by-address", trust + auth, 200, ""},
		{"without a certificate", "by-address", trust, 502, ""},
		{"with a certificate of somebody else", "by-address", trust + clientAuth(stranger, "stranger"), 502, ""},
		{"without trust in the CA", "by-address", auth, 502, ""},
		{"with a server name", "by-name", trust + auth + "tls_server_name " + name, 200, name},
		{"with a server name from the environment", "by-name", trust + auth + "tls_server_name {env.XAI_TEST_SERVER_NAME}", 200, name},
		{"with a wrong server name from the environment", "by-name", trust + auth + "tls_server_name {env.XAI_TEST_WRONG_NAME}", 502, ""},
		{"without the server name it needs", "by-name", trust + auth, 502, ""},
		{"over HTTP/1.1", "by-address", trust + auth + "versions 1.1", 200, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			up := newMutualTLSUpstream(t, ca, test.certificate)
			s := caddytest.Start(t, up, `
http://SITE {
	xai_ephemeral_token /session `+caddytest.Key+` {
		endpoint UPSTREAM
		retries 0
		transport http {
			`+test.transport+`
		}
	}
}
`)
			got := s.Post()
			if got.StatusCode != test.status {
				t.Fatalf("got %d, want %d", got.StatusCode, test.status)
			}
			requests := up.Requests()
			if test.status != http.StatusOK {
				if len(requests) != 0 {
					t.Error("xAI got the request")
				}
				entries := s.Logged()
				if last := entries[len(entries)-1]; last["level"] != "error" || last["msg"] != "xAI cannot be reached" {
					t.Errorf("logged %v", last)
				}
				return
			}
			caddytest.DecodeToken(t, got)
			if common := requests[0].TLS.PeerCertificates[0].Subject.CommonName; common != "team" {
				t.Errorf("xAI was shown the certificate of %q", common)
			}
			if requests[0].TLS.ServerName != test.serverName {
				t.Errorf("xAI was asked for %q, want %q", requests[0].TLS.ServerName, test.serverName)
			}
			wantProto := "HTTP/2.0"
			if strings.Contains(test.transport, "versions 1.1") {
				wantProto = "HTTP/1.1"
			}
			if requests[0].Proto != wantProto {
				t.Errorf("xAI was called over %s, want %s", requests[0].Proto, wantProto)
			}
		})
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// clientWithCertificate trusts Caddy's own authority, and shows a certificate of
// another if name is not empty.
func clientWithCertificate(t *testing.T, s *caddytest.Server, a *caddytest.Authority, name string) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if root := s.ReadFile("storage/pki/authorities/local/root.crt"); !config.RootCAs.AppendCertsFromPEM([]byte(root)) {
		t.Fatalf("Caddy's root certificate is %q", root)
	}
	if name != "" {
		pair := a.Load(name)
		// Not by Certificates: the client would keep back what the server does not
		// say it trusts, and an attacker's client does not do that favour.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func TestExampleClientCertificates(t *testing.T) {
	ca, stranger := caddytest.NewAuthority(t, t.TempDir()), caddytest.NewAuthority(t, t.TempDir())
	ca.IssueClient("alice")
	ca.IssueClient("bob")
	ca.IssueServer("server", []string{"alice"})
	ca.Issue("nameless", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	stranger.IssueClient("alice")

	up := caddytest.NewUpstream(t)
	s := startExample(t, up, "authentication/client-certificates", map[string]string{
		"SITE_ADDRESS": "https://localhost:PORT",
		"CLIENT_CA":    filepath.ToSlash(filepath.Join(ca.Dir, "ca.crt")),
	})
	// By name, since Caddy wants the one of the handshake and that of the request to
	// agree where it asks for certificates, and an address is no name.
	s.URL = strings.Replace(s.URL, "http://127.0.0.1", "https://localhost", 1)
	s.Client = clientWithCertificate(t, s, nil, "")
	// The site's certificate is made while Caddy serves already.
	caddytest.Eventually(t, "the site has its certificate", func() bool {
		_, err := s.Try(t.Context(), http.MethodGet, s.URL+"/")
		return err == nil
	})

	t.Run("without a certificate", func(t *testing.T) {
		checkAccess(t, s, up, withoutCredentials(http.StatusForbidden))
	})
	for name, client := range map[string]*http.Client{
		"of another authority": clientWithCertificate(t, s, stranger, "alice"),
		"for servers":          clientWithCertificate(t, s, ca, "server"),
	} {
		t.Run("with a certificate "+name, func(t *testing.T) {
			s.Client = client
			got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session")
			if err == nil {
				t.Errorf("got %d", got.StatusCode)
			}
			if n := len(up.Requests()); n != 0 {
				t.Errorf("%d tokens were minted", n)
			}
		})
	}
	t.Run("with a certificate that names nobody", func(t *testing.T) {
		s.Client = clientWithCertificate(t, s, ca, "nameless")
		if got := s.Post(); got.StatusCode != http.StatusForbidden {
			t.Errorf("got %d, want 403", got.StatusCode)
		}
	})
	s.Client = clientWithCertificate(t, s, ca, "alice")
	checkAccess(t, s, up, []accessTo{
		{"with a certificate", "POST", "/session", nil, 200},
		{"with a certificate, from a page of the app", "POST", "/session", []string{"Origin", exampleApp}, 200},
		{"with a certificate, from a page of another site", "POST", "/session", []string{"Origin", exampleEvil}, 403},
	})
	t.Run("a certificate shown to another name is not enough", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/session", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "other.example.com"
		if got := s.Send(req); got.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("got %d, want 421", got.StatusCode)
		}
	})
	t.Run("the log says who got the token", func(t *testing.T) {
		mustLogUser(t, s, caddytest.DecodeToken(t, s.Post()).Value, "CN=alice")
	})
	t.Run("each certificate has a limit", func(t *testing.T) {
		for range 7 {
			caddytest.DecodeToken(t, s.Post())
		}
		if got := s.Post(); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("alice got %d, want 429", got.StatusCode)
		}
		s.Client = clientWithCertificate(t, s, ca, "bob")
		caddytest.DecodeToken(t, s.Post())
	})
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clientWithCertificate trusts Caddy's own authority, and shows a certificate of
// another if name is not empty.
func (s *caddyServer) clientWithCertificate(a *authority, name string) *http.Client {
	s.t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if root := s.readFile("storage/pki/authorities/local/root.crt"); !config.RootCAs.AppendCertsFromPEM([]byte(root)) {
		s.t.Fatalf("Caddy's root certificate is %q", root)
	}
	if name != "" {
		pair := a.load(name)
		// Not by Certificates: the client would keep back what the server does not
		// say it trusts, and an attacker's client does not do that favour.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func TestExampleClientCertificates(t *testing.T) {
	ca, stranger := newAuthority(t, t.TempDir()), newAuthority(t, t.TempDir())
	ca.issueClient("alice")
	ca.issueClient("bob")
	ca.issueServer("server", []string{"alice"})
	ca.issue("nameless", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	stranger.issueClient("alice")

	up := newUpstream(t)
	s := startExample(t, up, "authentication/client-certificates", map[string]string{
		"SITE_ADDRESS": "https://localhost:PORT",
		"CLIENT_CA":    filepath.ToSlash(filepath.Join(ca.dir, "ca.crt")),
	})
	// By name, since Caddy wants the one of the handshake and that of the request to
	// agree where it asks for certificates, and an address is no name.
	s.url = strings.Replace(s.url, "http://127.0.0.1", "https://localhost", 1)
	s.client = s.clientWithCertificate(nil, "")
	// The site's certificate is made while Caddy serves already.
	eventually(t, "the site has its certificate", func() bool {
		_, err := s.try(t.Context(), http.MethodGet, s.url+"/")
		return err == nil
	})

	t.Run("without a certificate", func(t *testing.T) {
		s.check(t, up, withoutCredentials(http.StatusForbidden))
	})
	for name, client := range map[string]*http.Client{
		"of another authority": s.clientWithCertificate(stranger, "alice"),
		"for servers":          s.clientWithCertificate(ca, "server"),
	} {
		t.Run("with a certificate "+name, func(t *testing.T) {
			s.client = client
			got, err := s.try(t.Context(), http.MethodPost, s.url+"/session")
			if err == nil {
				t.Errorf("got %d", got.StatusCode)
			}
			if n := len(up.requests()); n != 0 {
				t.Errorf("%d tokens were minted", n)
			}
		})
	}
	t.Run("with a certificate that names nobody", func(t *testing.T) {
		s.client = s.clientWithCertificate(ca, "nameless")
		if got := s.post(); got.StatusCode != http.StatusForbidden {
			t.Errorf("got %d, want 403", got.StatusCode)
		}
	})
	s.client = s.clientWithCertificate(ca, "alice")
	s.check(t, up, []accessTo{
		{"with a certificate", "POST", "/session", nil, 200},
		{"with a certificate, from a page of the app", "POST", "/session", []string{"Origin", exampleApp}, 200},
		{"with a certificate, from a page of another site", "POST", "/session", []string{"Origin", exampleEvil}, 403},
	})
	t.Run("a certificate shown to another name is not enough", func(t *testing.T) {
		req, err := newRequest(t.Context(), http.MethodPost, s.url+"/session")
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "other.example.com"
		if got := s.send(req); got.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("got %d, want 421", got.StatusCode)
		}
	})
	t.Run("the log says who got the token", func(t *testing.T) {
		s.mustLogUser(t, decodeToken(t, s.post()).Value, "CN=alice")
	})
	t.Run("each certificate has a limit", func(t *testing.T) {
		for range 7 {
			decodeToken(t, s.post())
		}
		if got := s.post(); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("alice got %d, want 429", got.StatusCode)
		}
		s.client = s.clientWithCertificate(ca, "bob")
		decodeToken(t, s.post())
	})
}

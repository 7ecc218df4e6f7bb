// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// authority issues certificates into a directory.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority makes a CA whose certificate is ca.crt in the directory.
func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{t: t, dir: dir}
	a.cert, a.key = a.issue("ca", &x509.Certificate{
		Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// issue makes a certificate, as name.crt and name.key in the directory.
func (a *authority) issue(name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if template.IsCA {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.writePEM(name+".crt", "CERTIFICATE", der)
	a.writePEM(name+".key", "PRIVATE KEY", keyDER)
	return cert, key
}

func (a *authority) writePEM(name, kind string, der []byte) {
	a.t.Helper()
	content := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(a.dir, name), content, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) issueServer(name string, dnsNames []string, ips ...net.IP) {
	a.t.Helper()
	a.issue(name, &x509.Certificate{
		DNSNames: dnsNames, IPAddresses: ips,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

func (a *authority) issueClient(name string) {
	a.t.Helper()
	a.issue(name, &x509.Certificate{
		Subject:  pkix.Name{CommonName: name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// load returns a certificate that was issued, with its key.
func (a *authority) load(name string) tls.Certificate {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key"))
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

// newMutualTLSUpstream is an upstream that wants a client certificate of the
// authority and shows the named one of its own.
func newMutualTLSUpstream(t *testing.T, a *authority, certificate string) *upstream {
	t.Helper()
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	u := &upstream{Server: &sandbox.Server{APIKey: testKey}}
	u.server = httptest.NewUnstartedServer(u)
	u.server.TLS = &tls.Config{
		Certificates: []tls.Certificate{a.load(certificate)},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    clients,
		MinVersion:   tls.VersionTLS12,
	}
	u.server.EnableHTTP2 = true
	u.server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are the point
	u.server.StartTLS()
	t.Cleanup(u.server.Close)
	return u
}

func TestMutualTLSToUpstream(t *testing.T) {
	const name = "mtls.x.test"
	t.Setenv("XAI_TEST_SERVER_NAME", name)
	t.Setenv("XAI_TEST_WRONG_NAME", "api.x.test")
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	ca.issueServer("by-address", nil, net.IPv4(127, 0, 0, 1))
	ca.issueServer("by-name", []string{name})
	ca.issueClient("team")
	stranger := newAuthority(t, t.TempDir())
	stranger.issueClient("stranger")

	trust := "tls_trust_pool file " + filepath.ToSlash(filepath.Join(dir, "ca.crt")) + "\n"
	clientAuth := func(a *authority, name string) string {
		file := filepath.ToSlash(filepath.Join(a.dir, name))
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
			s := startCaddy(t, up, `
http://SITE {
	xai_ephemeral_token /session `+testKey+` {
		endpoint UPSTREAM
		retries 0
		transport http {
			`+test.transport+`
		}
	}
}
`)
			got := s.post()
			if got.StatusCode != test.status {
				t.Fatalf("got %d, want %d", got.StatusCode, test.status)
			}
			requests := up.requests()
			if test.status != http.StatusOK {
				if len(requests) != 0 {
					t.Error("xAI got the request")
				}
				entries := s.logged()
				if last := entries[len(entries)-1]; last["level"] != "error" || last["msg"] != "xAI cannot be reached" {
					t.Errorf("logged %v", last)
				}
				return
			}
			decodeToken(t, got)
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

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// Authority issues certificates into a directory.
type Authority struct {
	// Dir is the directory.
	Dir string
	// Certificate is that of the authority itself.
	Certificate *x509.Certificate

	t   *testing.T
	key *ecdsa.PrivateKey
}

// NewAuthority makes a CA whose certificate is ca.crt in the directory.
func NewAuthority(t *testing.T, dir string) *Authority {
	t.Helper()
	a := &Authority{t: t, Dir: dir}
	a.Certificate, a.key = a.Issue("ca", &x509.Certificate{
		Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// Issue makes a certificate, as name.crt and name.key in the directory.
func (a *Authority) Issue(name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.Certificate, a.key
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

func (a *Authority) writePEM(name, kind string, der []byte) {
	a.t.Helper()
	WriteFile(a.t, filepath.Join(a.Dir, name), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

// IssueServer is Issue for a server with some names and addresses.
func (a *Authority) IssueServer(name string, dnsNames []string, ips ...net.IP) {
	a.t.Helper()
	a.Issue(name, &x509.Certificate{
		DNSNames: dnsNames, IPAddresses: ips,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// IssueClient is Issue for a client, which the certificate calls by the name of its
// file.
func (a *Authority) IssueClient(name string) {
	a.t.Helper()
	a.Issue(name, &x509.Certificate{
		Subject:  pkix.Name{CommonName: name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// Load returns a certificate that was issued, with its key.
func (a *Authority) Load(name string) tls.Certificate {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(a.Dir, name+".crt"), filepath.Join(a.Dir, name+".key"))
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

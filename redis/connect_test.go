// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// signIn is what a user needs to be allowed. The documentation names the same.
const signIn = "+evalsha +eval +time +zscore +zcount +zrangebyscore +zadd +zrem +zremrangebyscore +pexpire"

func TestPasswords(t *testing.T) {
	server := startServer(t)
	server.redis("ACL", "SETUSER", "caddy", "on", ">hunter@2/", "~xai_ephemeral_token:*", "resetchannels", "-@all")
	server.redis(fields("ACL SETUSER caddy " + signIn)...)
	server.redis("ACL", "SETUSER", "default", "on", "resetpass", ">swordfish")
	_ = server.client.Close()
	server.client = server.signedIn("swordfish")

	t.Setenv("REDIS_PASSWORD", "hunter@2/\n") // as a file of it often ends
	for _, test := range []struct {
		name    string
		options options
		says    string
	}{
		{"a password", at(server.address, "password", "swordfish"), ""},
		{"a user of few rights", at(server.address, "username", "caddy", "password", "{env.REDIS_PASSWORD}"), ""},
		{"a user in a URL", at("redis://caddy:{env.REDIS_PASSWORD}@" + server.address), ""},
		{"a user at a Unix socket", at("unix://"+server.socket, "username", "caddy", "password", "hunter@2/"), ""},
		{"another database", at(server.address, "password", "swordfish", "db", 3), ""},
		{"another database in a URL", at("redis://:swordfish@" + server.address + "/3"), ""},
		{"no password", at(server.address), "NOAUTH"},
		{"a wrong password", at(server.address, "password", "wrong"), "WRONGPASS"},
		{"a wrong user", at(server.address, "username", "nobody", "password", "hunter@2/"), "WRONGPASS"},
		{"a prefix that the user may not use", at(server.address, "username", "caddy", "password", "hunter@2/", "prefix", "other"), "NOPERM"},
		{"a database that there is not", at(server.address, "password", "swordfish", "db", 99), "DB index is out of range"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t, test.options)
			if test.says == "" {
				s.takeAll(hourly(3))
				s.takeAll(hourly(1))
				s.take(hourly(9)).GiveBack()
				return
			}
			if !s.fails(hourly(3)) {
				t.Fatal("got a token")
			}
			eventually(t, "it is told", func() bool { return len(s.log(test.says)) > 0 })
			for _, secret := range []string{"hunter@2", "swordfish"} {
				if len(s.log(secret)) > 0 {
					t.Error("the log has the password")
				}
			}
		})
	}
}

func fields(text string) (all []any) {
	for field := range strings.FieldsSeq(text) {
		all = append(all, field)
	}
	return all
}

// authority signs certificates.
type authority struct {
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.certificate, a.key = a.issue(t, "ca")
	return a
}

// issue writes NAME.pem and NAME.key.
func (a *authority) issue(t *testing.T, name string, hosts ...string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: a.key == nil, BasicConstraintsValid: true, DNSNames: hosts, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if len(hosts) > 0 {
		template.IPAddresses = nil
	}
	parent, signer := a.certificate, a.key
	if signer == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		a.file(name + ".pem"): {Type: "CERTIFICATE", Bytes: der}, a.file(name + ".key"): {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func TestTLS(t *testing.T) {
	trusted, other := newAuthority(t), newAuthority(t)
	trusted.issue(t, "server")
	trusted.issue(t, "named", "valkey.internal")
	trusted.issue(t, "client")
	other.issue(t, "client")
	start := func(t *testing.T, certificate, clients string) (host, port string) {
		t.Helper()
		tlsAddress := freeAddress(t)
		host, port, err := net.SplitHostPort(tlsAddress)
		if err != nil {
			t.Fatal(err)
		}
		startServer(t, "--tls-port", port, "--tls-cert-file", trusted.file(certificate+".pem"), "--tls-key-file", trusted.file(certificate+".key"),
			"--tls-ca-cert-file", trusted.file("ca.pem"), "--tls-auth-clients", clients)
		return host, port
	}
	host, port := start(t, "server", "no")
	_, strictPort := start(t, "server", "yes")
	_, namedPort := start(t, "named", "no")
	address := net.JoinHostPort(host, port)
	ca := options{"ca": trusted.file("ca.pem")}
	with := func(key, value string, further ...string) options {
		all := options{"ca": trusted.file("ca.pem"), key: value}
		for i := 0; i < len(further); i += 2 {
			all[further[i]] = further[i+1]
		}
		return all
	}
	for _, test := range []struct {
		name    string
		options options
		says    string
	}{
		{"a CA of its own", at("rediss://"+address, "tls", ca), ""},
		{"TLS for host:port", at(address, "tls", ca), ""},
		{"a client's certificate", at(net.JoinHostPort(host, strictPort), "tls",
			with("client_certificate", trusted.file("client.pem"), "client_key", trusted.file("client.key"))), ""},
		{"a server's name", at(net.JoinHostPort(host, namedPort), "tls", with("server_name", "valkey.internal")), ""},
		{"an unknown CA", at("rediss://" + address), "unknown authority"},
		{"another CA", at("rediss://"+address, "tls", options{"ca": other.file("ca.pem")}), "unknown authority"},
		{"no client's certificate", at(net.JoinHostPort(host, strictPort), "tls", ca), `"error":"`},
		{"another server's name", at(net.JoinHostPort(host, namedPort), "tls", ca), "x509: "},
		{"no TLS", at(address), `"error":"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t, test.options)
			if test.says == "" {
				s.takeAll(hourly(3))
				return
			}
			if !s.fails(hourly(3)) {
				t.Fatal("got a token")
			}
			eventually(t, "it is told", func() bool { return len(s.log("the limit store does not answer")) > 0 })
			if told := s.log("the limit store does not answer"); !strings.Contains(told[0], test.says) {
				t.Errorf("told %s", told)
			}
		})
	}
}

// TestCluster counts in a cluster, whose nodes would refuse a script with keys of
// several parts.
func TestCluster(t *testing.T) {
	server := startServer(t, "--cluster-enabled", "yes")
	server.redis("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	eventually(t, "the cluster is up", func() bool {
		return strings.Contains(server.redis("CLUSTER", "INFO").(string), "cluster_state:ok")
	})
	s := newStore(t, at(server.address, "cluster", true))
	another := hourly(5)
	another.Name = "another"
	for range 3 {
		s.take(hourly(3), another)
	}
	if got := s.takeAll(hourly(3)); got != 0 || server.tokens() != 6 {
		t.Errorf("%d tokens over the limit were given, and the server counts %d", got, server.tokens())
	}
}

// TestSentinel finds the server by asking a sentinel, and again after the server has
// been replaced by its replica.
func TestSentinel(t *testing.T) {
	server, replica := startServer(t), startServer(t)
	_, port, err := net.SplitHostPort(server.address)
	if err != nil {
		t.Fatal(err)
	}
	replica.redis("REPLICAOF", "127.0.0.1", port)
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	lines := fmt.Sprintf("sentinel monitor tokens 127.0.0.1 %s 1\nsentinel down-after-milliseconds tokens 300\nsentinel failover-timeout tokens 1000\n", port)
	if err := os.WriteFile(config, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := startSentinel(t, config)
	eventually(t, "the sentinel knows the replica", func() bool {
		return strings.Contains(fmt.Sprint(sentinel.redis("SENTINEL", "MASTER", "tokens")), "num-slaves:1") &&
			strings.Contains(replica.redis("INFO", "replication").(string), "master_link_status:up")
	})
	s := newStore(t, at(sentinel.address, "sentinel", "tokens"))
	s.take(hourly(3))
	server.redis("WAIT", 1, 1000)
	server.stop()
	eventually(t, "the replica is the master", func() bool { return !s.fails(hourly(1)) })
	if got := s.takeAll(hourly(3)); got != 2 {
		t.Errorf("%d tokens were given, want the 2 that were left", got)
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestFaultsBeforeTheRequest stops the bytes before there is a connection that a
// request could be sent over: in DNS, in TCP and in TLS.
func TestFaultsBeforeTheRequest(t *testing.T) {
	dir := t.TempDir()
	ca := caddytest.NewAuthority(t, dir)
	ca.IssueServer("right", nil, net.IPv4(127, 0, 0, 1))
	ca.IssueServer("wrong", []string{"api.x.test"})
	trust := "tls_trust_pool file " + filepath.ToSlash(dir) + "/ca.crt"
	config := func(name string) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{ca.Load(name)}, MinVersion: tls.VersionTLS12}
	}
	wrong := func(conn net.Conn) {
		_ = tls.Server(conn, config("wrong")).Handshake() //nolint:noctx // the upstream's end ends it
	}
	const hello = "\x16\x03\x03\x40\x00\x02" // the beginning of a long handshake record

	type early struct {
		name, endpoint, transport string
		do                        caddytest.RawFault // at an upstream with TLS
		status                    int
	}
	tests := []early{
		{"a name that does not exist", "http://nothing.invalid/", "resolvers udp/" + newResolver(t, 3), nil, 502},
		{"a resolver that fails", "http://nothing.invalid/", "resolvers udp/" + newResolver(t, 2), nil, 502},
		{"a resolver that is silent", "http://nothing.invalid/", "resolvers udp/" + newResolver(t, -1), nil, 504},
		{"a refused connection", "http://" + caddytest.FreeAddresses(t, 1)[0] + "/", "", nil, 502},
		{"a connection that nobody accepts", "http://" + newIdleListener(t) + "/", "", nil, 504},
		{"an end for a handshake", "", trust, caddytest.Cut, 502},
		{"a reset for a handshake", "", trust, caddytest.Reset, 502},
		{"silence for a handshake", "", trust, caddytest.Hang, 504},
		{"a drip in the handshake", "", trust, caddytest.Say(hello, caddytest.Drip), 504},
		{"silence in the handshake", "", trust, caddytest.Say(hello, caddytest.Hang), 504},
		{"an end in the handshake", "", trust, caddytest.Say(hello, caddytest.Cut), 502},
		{"a flood for a handshake", "", trust, caddytest.Flood("x"), 502},
		{"plain HTTP for a handshake", "", trust, caddytest.Say(caddytest.GoodAnswer(), caddytest.Cut), 502},
		{"an alert for a handshake", "", trust, caddytest.Say("\x15\x03\x03\x00\x02\x02\x28", caddytest.Hang), 502},
		{"a certificate for another name", "", trust, wrong, 502},
		{"a certificate of a CA that is not trusted", "", "", nil, 502},
	}
	var site strings.Builder
	site.WriteString("http://SITE {\n")
	ups := make([]*caddytest.RawUpstream, len(tests))
	for i, test := range tests {
		if test.endpoint == "" {
			ups[i] = caddytest.NewRawTLSUpstream(t, config("right"))
			test.endpoint = ups[i].URL
		}
		for path, options := range map[string]string{"new": "retries 0", "once": "retries 2"} {
			fmt.Fprintf(&site, "\txai_ephemeral_token /%d/%s %s {\n\t\tendpoint %s\n\t\trate_limit off\n\t\t%s\n\t\ttimeout %s\n\t\ttransport http {\n\t\t\t%s\n\t\t}\n\t}\n",
				i, path, caddytest.Key, test.endpoint, options, 2*faultTimeout, test.transport)
		}
	}
	site.WriteString("}\n")
	s := caddytest.Start(t, nil, site.String())
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ask := func(path string, want int) {
				t.Helper()
				expect(t, s, fmt.Sprintf("%s/%d/%s", s.URL, i, path), want, 2*faultTimeout)
			}
			if test.do == nil {
				ask("new", test.status)
				return
			}
			ups[i].Connections.Set(test.do)
			ask("new", test.status)
			ups[i].Connections.Set(nil, test.do)
			ask("once", http.StatusOK)
		})
	}
}

// newResolver is a DNS server that answers each question with an error, or not at
// all. It returns its address.
func newResolver(t *testing.T, code int) string {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		message := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(message)
			if err != nil {
				return
			}
			if code < 0 || n < 12 {
				continue
			}
			message[2] |= 0x80                            // an answer
			message[3] = message[3]&0xf0 | byte(code&0xf) // with this code
			_, _ = conn.WriteTo(message[:n], from)
		}
	}()
	return conn.LocalAddr().String()
}

// newIdleListener is a server that is stuck: the system takes connections for
// it, and it never looks at them. It returns its address.
func newIdleListener(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

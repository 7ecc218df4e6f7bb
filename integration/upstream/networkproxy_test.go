// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// networkProxy is a forward proxy with a record of what it was asked for.
type networkProxy struct {
	t      *testing.T
	server *httptest.Server
	client *http.Client

	mu    sync.Mutex
	asked []string
}

func newNetworkProxy(t *testing.T) *networkProxy {
	t.Helper()
	p := &networkProxy{t: t, client: caddytest.NewClient(t)}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	return p
}

// requests returns the request lines that reached the proxy so far.
func (p *networkProxy) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func (p *networkProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.RequestURI)
	p.mu.Unlock()
	if r.Method == http.MethodConnect {
		p.tunnel(w, r)
		return
	}
	forwarded := r.Clone(r.Context())
	forwarded.RequestURI = ""
	resp, err := p.client.Transport.RoundTrip(forwarded)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

// tunnel connects the client with the host it named, until one of them hangs up.
func (p *networkProxy) tunnel(w http.ResponseWriter, r *http.Request) {
	there, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.t.Error(err)
		return
	}
	defer here.Close()
	if _, err := io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	ended := make(chan struct{}, 2)
	go func() { _, _ = io.Copy(there, buffered); ended <- struct{}{} }()
	go func() { _, _ = io.Copy(here, there); ended <- struct{}{} }()
	<-ended
}

func TestNetworkProxy(t *testing.T) {
	proxy := newNetworkProxy(t)
	t.Setenv("XAI_TEST_PROXY", proxy.server.URL)
	dir := t.TempDir()
	ca := caddytest.NewAuthority(t, dir)
	ca.IssueServer("server", nil, net.IPv4(127, 0, 0, 1))
	ca.IssueClient("team")
	file := filepath.ToSlash(dir)
	mutualTLS := "tls_trust_pool file " + file + "/ca.crt\ntls_client_auth " + file + "/team.crt " + file + "/team.key\n"

	tests := []struct {
		name, transport string
		tls             bool
		path            string // forward_auth stands before /guarded
	}{
		{"to http", "network_proxy url " + proxy.server.URL, false, "/session"},
		{"to http, from the environment", "network_proxy url {env.XAI_TEST_PROXY}", false, "/session"},
		{"to http, behind forward_auth", "network_proxy url {env.XAI_TEST_PROXY}", false, "/guarded"},
		{"to https", mutualTLS + "network_proxy url " + proxy.server.URL, true, "/session"},
		{"to https, from the environment", mutualTLS + "network_proxy url {env.XAI_TEST_PROXY}", true, "/session"},
		{"to https, behind forward_auth", mutualTLS + "network_proxy url {env.XAI_TEST_PROXY}", true, "/guarded"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			up := caddytest.NewUpstream(t)
			if test.tls {
				up = newMutualTLSUpstream(t, ca, "server")
			}
			s := caddytest.Start(t, up, `
http://SITE {
	forward_auth /guarded SITE2 {
		uri /
	}
	xai_ephemeral_token `+caddytest.Key+` {
		endpoint UPSTREAM
		retries 0
		rate_limit off
		transport http {
			`+test.transport+`
		}
	}
}
http://SITE2 {
	respond "welcome"
}
`)
			before := len(proxy.requests())
			for range 3 {
				caddytest.DecodeToken(t, s.Do(http.MethodPost, s.URL+test.path))
			}
			if n := len(up.Requests()); n != 3 {
				t.Errorf("xAI was called %d times, want 3", n)
			}
			want := slices.Repeat([]string{"POST " + up.Endpoint()}, 3)
			if test.tls {
				// The tunnel stays open for the later calls.
				want = []string{"CONNECT " + strings.TrimPrefix(up.URL, "https://")}
			}
			if got := proxy.requests()[before:]; !slices.Equal(got, want) {
				t.Errorf("the proxy was asked for %q, want %q", got, want)
			}
		})
	}
	t.Run("nothing of the request chooses the proxy", func(t *testing.T) {
		before := len(proxy.requests())
		up := caddytest.NewUpstream(t)
		s := caddytest.Start(t, up, caddytest.Site("retries 0", "transport http {\nnetwork_proxy url {header.X-Proxy}\n}"))
		if got := s.Post("X-Proxy", proxy.server.URL); got.StatusCode != http.StatusBadGateway {
			t.Errorf("got %d, want 502", got.StatusCode)
		}
		if len(proxy.requests()) != before || len(up.Requests()) != 0 {
			t.Error("a client steered the call")
		}
	})
	t.Run("a proxy that is down", func(t *testing.T) {
		t.Setenv("XAI_TEST_PROXY", "http://"+caddytest.FreeAddresses(t, 1)[0])
		up := caddytest.NewUpstream(t)
		s := caddytest.Start(t, up, caddytest.Site("retries 0", "transport http {\nnetwork_proxy url {env.XAI_TEST_PROXY}\n}"))
		if got := s.Post(); got.StatusCode != http.StatusBadGateway || len(up.Requests()) != 0 {
			t.Errorf("got %d, want 502 and no call past the proxy", got.StatusCode)
		}
	})
}

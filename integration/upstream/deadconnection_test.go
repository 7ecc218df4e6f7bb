// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestDeadConnection loses an idle connection to xAI without a word, as a NAT
// does that forgot it. The attempt that uses it hangs; the next must not use it
// again, though over HTTP/2 all requests share one connection.
func TestDeadConnection(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		name := "HTTP/1.1"
		if http2 {
			name = "HTTP/2.0"
		}
		t.Run(name, func(t *testing.T) {
			s, up, nat := startBehindRelay(t, http2, "900ms")
			caddytest.DecodeToken(t, s.Post())
			if proto := up.Requests()[0].Proto; proto != name {
				t.Fatalf("xAI was called over %s", proto)
			}
			nat.forget()
			caddytest.DecodeToken(t, s.Post())
		})
	}
}

// TestDeadConnectionUnderLoad loses the one connection of HTTP/2 while there is
// always another request on it, so that it is never idle.
func TestDeadConnectionUnderLoad(t *testing.T) {
	s, _, nat := startBehindRelay(t, true, "6s")
	caddytest.DecodeToken(t, s.Post())
	nat.forget()
	var group sync.WaitGroup
	for range 30 {
		group.Go(func() {
			got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session")
			if err != nil || got.StatusCode != http.StatusOK {
				t.Errorf("got %d and error %v, want 200", got.StatusCode, err)
			}
		})
		time.Sleep(100 * time.Millisecond) // the load, not a wait for anything
	}
	group.Wait()
}

// startBehindRelay serves a site whose calls to xAI pass a relay.
func startBehindRelay(t *testing.T, http2 bool, timeout string) (*caddytest.Server, *caddytest.Upstream, *relay) {
	t.Helper()
	up := caddytest.NewUpstream(t)
	server := httptest.NewUnstartedServer(up)
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	nat := newRelay(t, server.Listener.Addr().String())
	return caddytest.Start(t, up, strings.Replace(
		caddytest.Site("rate_limit off", "timeout "+timeout, "transport http {\ntls_insecure_skip_verify\n}"),
		"UPSTREAM", "https://"+nat.address+"/v1/realtime/client_secrets", 1)), up, nat
}

// relay passes connections on to another address until it forgets them: then
// they stay open, and what is sent over them is lost.
type relay struct {
	address string
	forgot  atomic.Pointer[atomic.Bool] // of the connections that are new now
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{address: listener.Addr().String()}
	r.forgot.Store(new(atomic.Bool))
	var group sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		group.Wait()
	})
	group.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := new(net.Dialer).DialContext(t.Context(), "tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			mu.Lock()
			open = append(open, near, far)
			mu.Unlock()
			forgot := r.forgot.Load()
			group.Go(func() { pass(near, far, forgot) })
			group.Go(func() { pass(far, near, forgot) })
		}
	})
	return r
}

// pass copies from one connection to the other and closes both at the end, or
// throws away what it reads.
func pass(from, to net.Conn, forgot *atomic.Bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if forgot.Load() {
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if err == nil {
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			_ = from.Close()
			_ = to.Close()
			return
		}
	}
}

func (r *relay) forget() {
	r.forgot.Swap(new(atomic.Bool)).Store(true)
}

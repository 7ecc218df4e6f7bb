// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestProvisionCallsNobody loads configs that name an upstream, and asks for
// everything but a token.
func TestProvisionCallsNobody(t *testing.T) {
	var connections atomic.Int32
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = connection.Close()
		}
	}()
	site := strings.Replace(caddytest.Site("rate_limit off", "prefetch 8", "retries 0"),
		"UPSTREAM", "http://"+listener.Addr().String(), 1)
	s := caddytest.Start(t, nil, site)
	for range 3 {
		if err := s.Load(site); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Do(http.MethodGet, s.URL+"/session"); got.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("got %d", got.StatusCode)
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("there were %d connections to xAI before anybody asked for a token", n)
	}
	if got := s.Post(); got.StatusCode != http.StatusBadGateway || connections.Load() == 0 {
		t.Errorf("a request for a token got %d, with %d connections", got.StatusCode, connections.Load())
	}
}

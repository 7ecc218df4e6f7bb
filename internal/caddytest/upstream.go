// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// Upstream stands in for xAI. It is the sandbox served over HTTP, with a record of
// what reached it.
type Upstream struct {
	*sandbox.Server
	// URL is that of the whole server. See Endpoint.
	URL string

	server *httptest.Server

	mu       sync.Mutex
	received []Received
	open     map[net.Conn]bool
	opened   int
}

// Received is a request as it reached an upstream.
type Received struct {
	*http.Request
	// Body is the whole body, in place of the reader.
	Body string
}

// NewUpstream starts an upstream that runs until the test ends.
func NewUpstream(t *testing.T) *Upstream {
	t.Helper()
	return NewTLSUpstream(t, nil)
}

// NewTLSUpstream is NewUpstream behind TLS. It speaks HTTP/2 with those who want to.
func NewTLSUpstream(t *testing.T, config *tls.Config) *Upstream {
	t.Helper()
	u := &Upstream{Server: &sandbox.Server{APIKey: Key}, open: make(map[net.Conn]bool)}
	u.server = httptest.NewUnstartedServer(u)
	u.server.Config.ConnState = u.connectionChanged
	if config != nil {
		u.server.TLS = config
		u.server.EnableHTTP2 = true
		u.server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail can be the point
		u.server.StartTLS()
	} else {
		u.server.Start()
	}
	u.URL = u.server.URL
	t.Cleanup(u.server.Close)
	return u
}

// ShutDown refuses connections from now on.
func (u *Upstream) ShutDown() { u.server.Close() }

func (u *Upstream) connectionChanged(conn net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch state {
	case http.StateNew:
		u.open[conn] = true
		u.opened++
	case http.StateClosed, http.StateHijacked:
		delete(u.open, conn)
	}
}

// OpenConnections returns how many connections there are now.
func (u *Upstream) OpenConnections() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.open)
}

// OpenedConnections returns how many connections there were so far, those that are
// closed included.
func (u *Upstream) OpenedConnections() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.opened
}

// Endpoint returns the URL at which tokens are minted.
func (u *Upstream) Endpoint() string {
	return u.URL + "/v1/realtime/client_secrets"
}

// ServeHTTP records a request and has the sandbox answer it.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	u.mu.Lock()
	u.received = append(u.received, Received{r.Clone(r.Context()), string(body)})
	u.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	u.Server.ServeHTTP(w, r)
}

// Requests returns what reached the upstream so far.
func (u *Upstream) Requests() []Received {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.received
}

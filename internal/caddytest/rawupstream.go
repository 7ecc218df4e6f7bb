// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// RawUpstream stands in for xAI with bytes that need not be HTTP, nor TLS.
type RawUpstream struct {
	// URL is that of an endpoint.
	URL string
	// Address is where it listens.
	Address string
	// Connections says what connections meet in place of a TLS handshake. After nil
	// they are served.
	Connections FaultScript[RawFault]
	// Exchanges says what requests meet in place of a good answer, which is nil.
	Exchanges FaultScript[RawFault]

	tls *tls.Config // nil for plain HTTP

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool

	accepting, serving sync.WaitGroup
}

// NewRawUpstream starts an upstream that runs until the test ends.
func NewRawUpstream(t *testing.T) *RawUpstream {
	t.Helper()
	return NewRawTLSUpstream(t, nil)
}

// NewRawTLSUpstream is NewRawUpstream behind TLS.
func NewRawTLSUpstream(t *testing.T, config *tls.Config) *RawUpstream {
	t.Helper()
	u := &RawUpstream{open: make(map[net.Conn]bool), tls: config}
	u.Listen(t, "127.0.0.1:0")
	t.Cleanup(u.ShutDown)
	return u
}

// Listen accepts connections at an address. It is for an upstream that was shut
// down.
func (u *RawUpstream) Listen(t *testing.T, address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	u.mu.Lock()
	u.listener, u.Address = listener, listener.Addr().String()
	u.URL = "http://" + u.Address + "/raw"
	if u.tls != nil {
		u.URL = "https://" + u.Address + "/raw"
	}
	u.mu.Unlock()
	u.accepting.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			u.mu.Lock()
			u.open[conn] = true
			u.mu.Unlock()
			u.serving.Go(func() { u.serve(conn) })
		}
	})
}

// ShutDown refuses connections from now on and breaks those that are open.
func (u *RawUpstream) ShutDown() {
	_ = u.listener.Close()
	u.accepting.Wait() // or the last connection could be missed
	u.mu.Lock()
	for conn := range u.open {
		_ = conn.Close()
	}
	u.mu.Unlock()
	u.serving.Wait()
}

func (u *RawUpstream) serve(bare net.Conn) {
	conn := bare
	defer func() {
		_ = bare.Close()
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.open, bare)
	}()
	if fault := u.Connections.next(); fault != nil {
		fault(conn)
		return
	}
	if u.tls != nil {
		secured := tls.Server(conn, u.tls)
		if secured.Handshake() != nil { //nolint:noctx // ShutDown ends it
			return
		}
		conn = secured
	}
	reader := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
		if fault := u.Exchanges.next(); fault != nil {
			fault(conn)
			return
		}
		if _, err := io.WriteString(conn, GoodAnswer()); err != nil {
			return
		}
	}
}

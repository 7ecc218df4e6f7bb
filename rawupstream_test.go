// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// rawUpstream stands in for xAI with bytes that need not be HTTP, nor TLS.
type rawUpstream struct {
	url     string
	address string
	tls     *tls.Config // nil for plain HTTP

	connections faultScript[rawFault] // what they meet in place of a TLS handshake; nil is none
	exchanges   faultScript[rawFault] // what they meet in place of a good answer, which is nil

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool

	accepting, serving sync.WaitGroup
}

// faultScript says what befalls one after the other.
type faultScript[F any] struct {
	mu      sync.Mutex
	met     int // how many there were
	first   []F // what the first of them meet
	forever F   // what all others meet
}

// set says what the next ones meet, one after the other, and what all later ones
// do.
func (s *faultScript[F]) set(forever F, first ...F) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first, s.forever = first, forever
}

func (s *faultScript[F]) next() F {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.met++
	if len(s.first) == 0 {
		return s.forever
	}
	fault := s.first[0]
	s.first = s.first[1:]
	return fault
}

// count returns how many there were.
func (s *faultScript[F]) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.met
}

// rawFault is what a peer does with a connection in place of what is expected.
// The connection is closed after it.
type rawFault func(conn net.Conn)

func newRawUpstream(t *testing.T) *rawUpstream {
	t.Helper()
	return newRawTLSUpstream(t, nil)
}

// newRawTLSUpstream is a rawUpstream behind TLS.
func newRawTLSUpstream(t *testing.T, config *tls.Config) *rawUpstream {
	t.Helper()
	u := &rawUpstream{open: make(map[net.Conn]bool), tls: config}
	u.listen(t, "127.0.0.1:0")
	t.Cleanup(u.shutDown)
	return u
}

func (u *rawUpstream) listen(t *testing.T, address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	u.mu.Lock()
	u.listener, u.address = listener, listener.Addr().String()
	u.url = "http://" + u.address + "/raw"
	if u.tls != nil {
		u.url = "https://" + u.address + "/raw"
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

// shutDown refuses connections from now on and breaks those that are open.
func (u *rawUpstream) shutDown() {
	_ = u.listener.Close()
	u.accepting.Wait() // or the last connection could be missed
	u.mu.Lock()
	for conn := range u.open {
		_ = conn.Close()
	}
	u.mu.Unlock()
	u.serving.Wait()
}

func (u *rawUpstream) serve(bare net.Conn) {
	conn := bare
	defer func() {
		_ = bare.Close()
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.open, bare)
	}()
	if fault := u.connections.next(); fault != nil {
		fault(conn)
		return
	}
	if u.tls != nil {
		secured := tls.Server(conn, u.tls)
		if secured.Handshake() != nil { //nolint:noctx // shutDown ends it
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
		if fault := u.exchanges.next(); fault != nil {
			fault(conn)
			return
		}
		if _, err := io.WriteString(conn, goodAnswer()); err != nil {
			return
		}
	}
}

// goodAnswer is what xAI would say.
func goodAnswer() string {
	body := fmt.Sprintf(`{"value":"xai-realtime-client-secret-raw%d","expires_at":4000000000}`, time.Now().UnixNano())
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// tcp finds the connection beneath TLS.
func tcp(conn net.Conn) *net.TCPConn {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	return conn.(*net.TCPConn)
}

// say sends a text, and then does with the connection what a manner says.
func say(text string, manner rawFault) rawFault {
	return func(conn net.Conn) {
		if _, err := io.WriteString(conn, text); err == nil {
			manner(conn)
		}
	}
}

// cut ends the connection, as somebody does who has nothing more to say.
func cut(net.Conn) {}

// reset breaks the connection without a goodbye.
func reset(conn net.Conn) {
	bare := tcp(conn)
	_ = bare.SetLinger(0)
	_ = bare.Close()
}

// hang says nothing more, until the plugin hangs up.
func hang(conn net.Conn) {
	_, _ = io.Copy(io.Discard, conn)
}

// drip sends a byte now and then.
func drip(conn net.Conn) {
	for {
		if _, err := io.WriteString(conn, "x"); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond) // its manner, not a wait for anything
	}
}

// flood sends text as fast as it can, without end.
func flood(text string) rawFault {
	text = strings.Repeat(text, 1+4096/len(text))
	return func(conn net.Conn) {
		for {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	}
}

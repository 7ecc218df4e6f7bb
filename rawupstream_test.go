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
	early   bool        // whether faults come in place of the TLS handshake

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
	accepted int
	reached  int        // how many exchanges, or with early connections, there were
	first    []rawFault // what the first of them meet; nil is a good answer
	forever  rawFault   // what all others meet

	accepting, serving sync.WaitGroup
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
			u.accepted++
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
	if u.early {
		if fault := u.next(); fault != nil {
			fault(conn)
			return
		}
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
		if !u.early {
			if fault := u.next(); fault != nil {
				fault(conn)
				return
			}
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

func (u *rawUpstream) next() rawFault {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reached++
	if len(u.first) == 0 {
		return u.forever
	}
	fault := u.first[0]
	u.first = u.first[1:]
	return fault
}

// script sets what the next exchanges meet, one after the other, and what all
// later ones do.
func (u *rawUpstream) script(forever rawFault, first ...rawFault) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.first, u.forever = first, forever
}

// counts returns how many connections and exchanges there were.
func (u *rawUpstream) counts() (accepted, reached int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.accepted, u.reached
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

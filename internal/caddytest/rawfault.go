// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// RawFault is what a peer does with a connection in place of what is expected of it.
// The connection is closed afterwards.
type RawFault func(conn net.Conn)

// GoodAnswer returns what xAI would say over HTTP/1.1.
func GoodAnswer() string {
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

// Say sends a text, and then does with the connection what a manner says.
func Say(text string, manner RawFault) RawFault {
	return func(conn net.Conn) {
		if _, err := io.WriteString(conn, text); err == nil {
			manner(conn)
		}
	}
}

// Cut ends the connection, as somebody does who has nothing more to say.
func Cut(net.Conn) {}

// Reset breaks the connection without a goodbye.
func Reset(conn net.Conn) {
	bare := tcp(conn)
	_ = bare.SetLinger(0)
	_ = bare.Close()
}

// Hang says nothing more, until the plugin hangs up.
func Hang(conn net.Conn) {
	_, _ = io.Copy(io.Discard, conn)
}

// Drip sends a byte now and then.
func Drip(conn net.Conn) {
	for {
		if _, err := io.WriteString(conn, "x"); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond) // its manner, not a wait for anything
	}
}

// Flood sends text as fast as it can, without end.
func Flood(text string) RawFault {
	text = strings.Repeat(text, 1+4096/len(text))
	return func(conn net.Conn) {
		for {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	}
}

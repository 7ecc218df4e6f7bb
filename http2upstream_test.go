// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Upstream stands in for xAI with frames that need not be HTTP/2.
type http2Upstream struct {
	*rawUpstream

	requests faultScript[http2Fault] // what they meet in place of a good answer, which is nil
}

// http2Fault is what a peer does in place of a good answer. An error ends the
// connection, which is served on after nil.
type http2Fault func(conn *http2Conn, stream uint32) error

// http2Conn is the server's end of a connection.
type http2Conn struct {
	*http2.Framer
	bare    net.Conn
	block   bytes.Buffer
	encoder *hpack.Encoder
}

func newHTTP2Upstream(t *testing.T, certificate tls.Certificate) *http2Upstream {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{http2.NextProtoTLS}, MinVersion: tls.VersionTLS12}
	u := &http2Upstream{rawUpstream: newRawTLSUpstream(t, config)}
	u.connections.set(func(conn net.Conn) { u.serve(tls.Server(conn, config)) })
	return u
}

func (u *http2Upstream) serve(bare net.Conn) {
	if _, err := io.CopyN(io.Discard, bare, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	conn := &http2Conn{Framer: http2.NewFramer(bare, bare), bare: bare}
	conn.AllowIllegalWrites = true
	conn.encoder = hpack.NewEncoder(&conn.block)
	if conn.WriteSettings() != nil {
		return
	}
	for {
		frame, err := conn.ReadFrame()
		if err != nil || u.answer(conn, frame) != nil {
			return
		}
	}
}

// answer does what a frame asks for.
func (u *http2Upstream) answer(conn *http2Conn, frame http2.Frame) error {
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			return conn.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			return conn.WritePing(true, frame.Data)
		}
	case *http2.DataFrame:
		if frame.StreamEnded() {
			if fault := u.requests.next(); fault != nil {
				return fault(conn, frame.StreamID)
			}
			return goodFrames(conn, frame.StreamID)
		}
	}
	return nil
}

// writeHeaders sends headers, given as name, value pairs.
func (conn *http2Conn) writeHeaders(stream uint32, fields ...string) error {
	conn.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		if err := conn.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			return err
		}
	}
	return conn.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: conn.block.Bytes(), EndHeaders: true})
}

// goodFrames is what xAI would answer.
func goodFrames(conn *http2Conn, stream uint32) error {
	if err := conn.writeHeaders(stream, ":status", "200", "content-type", "application/json"); err != nil {
		return err
	}
	body := fmt.Sprintf(`{"value":"xai-realtime-client-secret-frames%d","expires_at":4000000000}`, time.Now().UnixNano())
	return conn.WriteData(stream, true, []byte(body))
}

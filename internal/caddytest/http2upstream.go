// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

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

// HTTP2Upstream stands in for xAI with frames that need not be HTTP/2.
type HTTP2Upstream struct {
	*RawUpstream

	// Requests says what requests meet in place of a good answer, which is nil.
	Requests FaultScript[HTTP2Fault]
}

// HTTP2Fault is what a peer does in place of a good answer. An error ends the
// connection, which is served on after nil.
type HTTP2Fault func(conn *HTTP2Conn, stream uint32) error

// HTTP2Conn is the server's end of a connection.
type HTTP2Conn struct {
	*http2.Framer
	// Bare is the connection that carries the frames.
	Bare net.Conn

	block   bytes.Buffer
	encoder *hpack.Encoder
}

// NewHTTP2Upstream starts an upstream that runs until the test ends.
func NewHTTP2Upstream(t *testing.T, certificate tls.Certificate) *HTTP2Upstream {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{http2.NextProtoTLS}, MinVersion: tls.VersionTLS12}
	u := &HTTP2Upstream{RawUpstream: NewRawTLSUpstream(t, config)}
	u.Connections.Set(func(conn net.Conn) { u.serve(tls.Server(conn, config)) })
	return u
}

func (u *HTTP2Upstream) serve(bare net.Conn) {
	if _, err := io.CopyN(io.Discard, bare, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	conn := &HTTP2Conn{Framer: http2.NewFramer(bare, bare), Bare: bare}
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
func (u *HTTP2Upstream) answer(conn *HTTP2Conn, frame http2.Frame) error {
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
			if fault := u.Requests.next(); fault != nil {
				return fault(conn, frame.StreamID)
			}
			return GoodFrames(conn, frame.StreamID)
		}
	}
	return nil
}

// WriteHeaderFields sends the headers of a stream, given as name, value pairs.
func (conn *HTTP2Conn) WriteHeaderFields(stream uint32, fields ...string) error {
	conn.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		if err := conn.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			return err
		}
	}
	return conn.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: conn.block.Bytes(), EndHeaders: true})
}

// GoodFrames sends what xAI would say over HTTP/2. It is a fault that is none.
func GoodFrames(conn *HTTP2Conn, stream uint32) error {
	if err := conn.WriteHeaderFields(stream, ":status", "200", "content-type", "application/json"); err != nil {
		return err
	}
	body := fmt.Sprintf(`{"value":"xai-realtime-client-secret-frames%d","expires_at":4000000000}`, time.Now().UnixNano())
	return conn.WriteData(stream, true, []byte(body))
}

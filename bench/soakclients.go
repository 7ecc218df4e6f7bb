// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// request returns one as bytes, for clients that misbehave. The body that it
// announces does not come.
func (l *soakLoad) rawRequest() string {
	paths := []string{"/session", "/stock"}
	return "POST " + paths[chance(len(paths))] + " HTTP/1.1\r\nHost: " + l.address +
		"\r\nX-Key: key-0\r\nContent-Length: 100\r\n\r\n"
}

func (l *soakLoad) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(answerLimit))
}

// leave is a client that goes away, at any stage of its request.
func (l *soakLoad) leave(ctx context.Context) {
	conn, err := l.dial(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	request := l.rawRequest()
	request += "half of a body"
	if _, err := conn.Write([]byte(request[:chance(len(request)+1)])); err != nil {
		return
	}
	// Some leave while the call to xAI is under way, some when the answer is.
	time.Sleep(time.Duration(chance(30)) * time.Millisecond)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left++
}

// dawdle is a client that sends its request byte by byte, and a body that never
// ends. It reads the answer byte by byte, too.
func (l *soakLoad) dawdle(ctx context.Context) {
	conn, err := l.dial(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	request := l.rawRequest()
	for i := range len(request) {
		if _, err := conn.Write([]byte{request[i]}); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	resp, err := http.ReadResponse(bufio.NewReader(slowReader{conn}), nil)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if resp.StatusCode != http.StatusOK {
		l.mistake("a slow client got " + resp.Status)
		return
	}
	l.slow++
}

// chance returns a number from 0 to below n.
func chance(n int) int {
	return rand.IntN(n) //nolint:gosec // it guards nothing
}

// slowReader reads a byte at a time.
type slowReader struct{ net.Conn }

func (r slowReader) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return r.Conn.Read(p[:1])
}

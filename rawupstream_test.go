// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestNoHTTP has something that speaks no proper HTTP answer in place of xAI.
func TestNoHTTP(t *testing.T) {
	raw := newRawUpstream(t)
	s := startCaddy(t, nil, strings.NewReplacer("UPSTREAM", raw.url, "rate_limit off", "rate_limit off\n\t\ttimeout 700ms\n\t\tretries 0").Replace(simpleSite))
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := []struct {
		name, answer string
		linger       bool
		status       int
	}{
		{"nothing", "", false, 502},
		{"nothing ever", "", true, 504},
		{"no HTTP", "220 mail.example.com ESMTP\r\n", false, 502},
		{"half a header", ok + "Content-Le", false, 502},
		{"half a header, and then nothing", ok + "Content-Le", true, 504},
		{"half a body", ok + "Content-Length: 9\r\n\r\n{", false, 502},
		{"half a body, and then nothing", ok + "Content-Length: 9\r\n\r\n{", true, 504},
		{"half a chunk", ok + "Transfer-Encoding: chunked\r\n\r\n9\r\n{", false, 502},
		{"a chunk of no size", ok + "Transfer-Encoding: chunked\r\n\r\nx\r\n", false, 502},
		{"no end of headers", ok + strings.Repeat("A: "+strings.Repeat("x", 1<<10)+"\r\n", 11<<10), true, 502},
		{"no end of a body", ok + "\r\n" + strings.Repeat("x", 1<<20), true, 502},
		{"early answers, and then nothing", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100), true, 504},
		{"another protocol", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", true, 502},
		{"a refusal whose body never comes", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\n", true, 502},
		{"a compressed body that is none", ok + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", false, 502},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			raw.say(test.answer, test.linger)
			start := time.Now()
			got := s.do(http.MethodPost, s.url+"/session")
			if got.StatusCode != test.status {
				t.Errorf("got %d, want %d", got.StatusCode, test.status)
			}
			if elapsed := time.Since(start); elapsed > 1500*time.Millisecond {
				t.Errorf("it took %s", elapsed)
			}
		})
	}
}

// rawUpstream answers each request with bytes that need not be HTTP.
type rawUpstream struct {
	url string

	mu     sync.Mutex
	answer string
	linger bool
}

func newRawUpstream(t *testing.T) *rawUpstream {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	raw := &rawUpstream{url: "http://" + listener.Addr().String() + "/raw"}
	var connections sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		connections.Wait()
	})
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { raw.serve(conn) })
		}
	})
	return raw
}

func (u *rawUpstream) serve(conn net.Conn) {
	defer conn.Close()
	request := make([]byte, 4096)
	if _, err := conn.Read(request); err != nil {
		return
	}
	u.mu.Lock()
	answer, linger := u.answer, u.linger
	u.mu.Unlock()
	_, _ = io.WriteString(conn, answer)
	if linger {
		_, _ = io.Copy(io.Discard, conn)
	}
}

// say sets the answer to the requests that follow. After it the connection is
// closed, or left open until the plugin closes it.
func (u *rawUpstream) say(answer string, linger bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer, u.linger = answer, linger
}

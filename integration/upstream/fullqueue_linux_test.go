// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestFullQueue calls an xAI whose system lets nobody in, as one that is
// overloaded: connections are neither made nor refused.
func TestFullQueue(t *testing.T) {
	s := caddytest.Start(t, nil, strings.Replace(caddytest.Site("rate_limit off", "timeout 600ms"),
		"UPSTREAM", "http://"+newFullListener(t)+"/", 1))
	for range 3 { // dials that outlive their attempt are no help to the next
		expect(t, s, s.URL+"/session", http.StatusGatewayTimeout, 600*time.Millisecond)
	}
}

// newFullListener listens with a queue that is full. It returns its address.
func newFullListener(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(os.NewSyscallError("bind", err))
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(os.NewSyscallError("listen", err))
	}
	file := os.NewFile(uintptr(fd), "listener")
	t.Cleanup(func() { _ = file.Close() })
	listener, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	address := listener.Addr().String()
	for range 8 {
		conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond) //nolint:noctx // it has its timeout
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("the queue does not fill")
	return ""
}

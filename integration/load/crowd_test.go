// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// crowd is how many clients come at once. Their connections have both ends in
// this process, so each of them takes two descriptors here and, while it waits,
// two more to the upstream.
const crowd = 2000

// useManyClients lets each client of a test have its own connection.
func useManyClients(s *caddytest.Server) {
	s.Client.Transport.(*http.Transport).DisableKeepAlives = true
	s.Client.Timeout = 2 * time.Minute
}

// TestCrowdWithStock has a stock for a quarter of the clients.
func TestCrowdWithStock(t *testing.T) {
	clients := min(crowd, descriptors()/6)
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off", "prefetch 500", "timeout 2m"))
	useManyClients(s)
	before := runtime.NumGoroutine()
	caddytest.DecodeToken(t, s.Post())
	s.WaitPrefetched(500)
	var handedOut caddytest.Tokens
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session")
			if err == nil {
				err = handedOut.Add(got)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := handedOut.Count(); n != clients {
		t.Errorf("%d clients got %d tokens", clients, n)
	}
	if err := s.Load("http://SITE2 {\n\trespond ok\n}\n"); err != nil {
		t.Fatal(err)
	}
	caddytest.Eventually(t, "no connection to xAI is open", func() bool { return up.OpenConnections() == 0 })
	caddytest.Eventually(t, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= before+20 })
}

// TestCrowdInFlight holds the answers back until every client waits.
func TestCrowdInFlight(t *testing.T) {
	clients := min(crowd, descriptors()/6)
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off", "timeout 2m", "retries 0"))
	useManyClients(s)
	release := make(chan struct{})
	var waiting atomic.Int64
	faults := make([]sandbox.Fault, clients)
	for i := range faults {
		fails := i%4 == 0
		faults[i] = func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
			if waiting.Add(1) == int64(clients) {
				close(release)
			}
			select {
			case <-release:
			case <-r.Context().Done():
				return
			}
			if fails {
				sandbox.Status(http.StatusInternalServerError)(w, r, mint)
				return
			}
			mint(w, r)
		}
	}
	up.Script(faults...)

	var handedOut caddytest.Tokens
	var failed atomic.Int64
	var group sync.WaitGroup
	for i := range clients {
		if i%100 == 0 {
			// A listener's queue can be short, and what overflows it comes again late.
			caddytest.Eventually(t, "those before wait", func() bool { return waiting.Load() >= int64(i) })
		}
		group.Go(func() {
			got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session")
			if err == nil && got.StatusCode == http.StatusBadGateway {
				failed.Add(1)
				return
			}
			if err == nil {
				err = handedOut.Add(got)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n, f := handedOut.Count(), int(failed.Load()); f != (clients+3)/4 || n+f != clients {
		t.Errorf("%d of %d clients got tokens, and %d a failure", n, clients, f)
	}
	caddytest.Eventually(t, "the connections over the pool's size are closed", func() bool { return up.OpenConnections() <= 256 })
}

// TestMisbehavingClients keeps hundreds of clients that are slow or leave, and
// has others served as if there were none.
func TestMisbehavingClients(t *testing.T) {
	const each = 60
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off"))
	useManyClients(s)
	baseline := runtime.NumGoroutine()
	head := "POST /session HTTP/1.1\r\nHost: " + strings.TrimPrefix(s.URL, "http://") + "\r\n"
	const chunked = "Transfer-Encoding: chunked\r\n\r\n"
	tests := []struct {
		name string
		act  func(conn net.Conn) error
	}{
		{"leaves after connecting", func(net.Conn) error { return nil }},
		{"leaves in its headers", says(head)},
		{"leaves after its headers", says(head + "\r\n")},
		{"leaves in its body", says(head + chunked + "5\r\nab")},
		{"leaves in its answer", func(conn net.Conn) error {
			if err := says(head + "\r\n")(conn); err != nil {
				return err
			}
			_, err := io.ReadFull(conn, make([]byte, 20))
			return err
		}},
		{"sends headers byte by byte", func(conn net.Conn) error {
			if err := drips(conn, head+"\r\n"); err != nil {
				return err
			}
			return expectToken(conn)
		}},
		{"drips a body", func(conn net.Conn) error {
			if err := says(head + chunked)(conn); err != nil {
				return err
			}
			go func() { _ = drips(conn, strings.Repeat("1\r\na\r\n", 50)) }()
			return expectToken(conn)
		}},
		{"reads byte by byte", func(conn net.Conn) error {
			if err := says(head + "\r\n")(conn); err != nil {
				return err
			}
			return expectToken(slowReader{conn})
		}},
	}
	var group sync.WaitGroup
	for _, test := range tests {
		for range each {
			group.Go(func() {
				conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				if err := test.act(conn); err != nil {
					t.Errorf("a client that %s: %v", test.name, err)
				}
			})
		}
	}
	misbehaved := make(chan struct{})
	go func() {
		group.Wait()
		close(misbehaved)
	}()
	var slowest time.Duration
	served := 0
	for waiting := true; waiting; served++ {
		start := time.Now()
		caddytest.DecodeToken(t, s.Post())
		slowest = max(slowest, time.Since(start))
		select {
		case <-misbehaved:
			waiting = false
		default:
		}
	}
	t.Logf("%d requests of others, the slowest took %s", served, slowest)
	if slowest > 3*time.Second {
		t.Errorf("a request of others took %s", slowest)
	}
	s.Client.CloseIdleConnections()
	if err := s.Load("http://SITE2 {\n\trespond ok\n}\n"); err != nil {
		t.Fatal(err)
	}
	caddytest.Eventually(t, "no connection to xAI is open", func() bool { return up.OpenConnections() == 0 })
	caddytest.Eventually(t, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= baseline+20 })
}

func says(text string) func(net.Conn) error {
	return func(conn net.Conn) error {
		_, err := io.WriteString(conn, text)
		return err
	}
}

// drips writes a byte at a time.
func drips(conn net.Conn, text string) error {
	for i := range len(text) {
		if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// slowReader reads a byte at a time.
type slowReader struct{ net.Conn }

func (r slowReader) Read(p []byte) (int, error) {
	time.Sleep(2 * time.Millisecond)
	return r.Conn.Read(p[:min(1, len(p))])
}

func expectToken(from io.Reader) error {
	resp, err := http.ReadResponse(bufio.NewReader(from), nil)
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "xai-realtime-client-secret-") {
		return errors.New("got " + resp.Status)
	}
	return nil
}

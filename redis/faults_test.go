// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
)

// outage has a server stop working, and holds that this is noticed, told and over as it
// shall be.
type outage struct {
	begin func(*server) (end func())

	// What the log says of it.
	says string
}

var outages = map[string]outage{
	"stopped": {func(s *server) func() {
		s.stop()
		return s.restart
	}, "connect: connection refused"},
	"hung": {func(s *server) func() { return s.hang() }, "timeout"},
	"full": {func(s *server) func() {
		s.redis("CONFIG", "SET", "maxmemory", 1)
		return func() { s.redis("CONFIG", "SET", "maxmemory", 0) }
	}, "OOM command not allowed"},
	"a replica": {func(s *server) func() {
		s.redis("REPLICAOF", "127.0.0.1", "1")
		return func() { s.redis("REPLICAOF", "NO", "ONE") }
	}, "READONLY"},
	"busy": {func(s *server) func() {
		s.redis("CONFIG", "SET", "busy-reply-threshold", 1)
		go s.client.Eval(s.t.Context(), "while true do end", nil)
		eventually(s.t, "the server is busy", func() bool {
			return strings.Contains(s.client.Ping(s.t.Context()).String(), "BUSY")
		})
		return func() { s.redis("SCRIPT", "KILL") }
	}, "BUSY"},
}

func TestOutages(t *testing.T) {
	for name, outage := range outages {
		t.Run("denies while the server is "+name, func(t *testing.T) {
			server := startServer(t, "--maxmemory-policy", "noeviction")
			s := newStore(t, at(server.address))
			early := s.take(hourly(10))
			end := sync.OnceFunc(outage.begin(server))
			defer end()

			asked := time.Now()
			if !s.fails(hourly(10)) {
				t.Fatal("got a token")
			}
			// From now on nobody waits for it.
			if took := time.Since(asked); took > time.Second {
				t.Errorf("the first answer took %s", took)
			}
			asked = time.Now()
			for range 1000 {
				if !s.fails(hourly(10)) {
					t.Fatal("got a token")
				}
			}
			if took := time.Since(asked); took > 300*time.Millisecond {
				t.Errorf("a thousand answers took %s", took)
			}
			eventually(t, "it is told", func() bool { return len(s.log(`"the limit store does not answer"`)) > 0 })
			told := s.log("the limit store does not answer")
			if len(told) != 1 || !strings.Contains(told[0], outage.says) || !strings.Contains(told[0], `"level":"error"`) ||
				!strings.Contains(told[0], server.address) || !strings.Contains(told[0], "requests get 503") {
				t.Errorf("told %q", told)
			}
			early.GiveBack() // as soon as it can be

			end()
			ended := time.Now()
			eventually(t, "the store works again", func() bool { return !s.fails(hourly(10)) })
			if took := time.Since(ended); took > 2*time.Second {
				t.Errorf("it took %s until the store was back", took)
			}
			if got := server.tokens(); got != 1 {
				t.Errorf("the server counts %d tokens, want the last one", got)
			}
			if told := s.log("the limit store answers again"); len(told) != 1 {
				t.Errorf("told %q", told)
			}
		})
	}
}

// TestLongOutage stays down long enough for a second line in the log.
func TestLongOutage(t *testing.T) {
	server := startServer(t)
	s := newStore(t, at(server.address))
	server.stop()
	const line = "the limit store does not answer"
	eventually(t, "it is told twice", func() bool {
		if !s.fails(hourly(1)) {
			t.Fatal("got a token")
		}
		return len(s.log(line)) == 2
	})
	var requests int
	for _, text := range s.log(line) {
		_, after, _ := strings.Cut(text, `"requests":`)
		requests += len(after)
		if after == "" || after == "0}\n" && requests > 10 {
			t.Errorf("told %q", text)
		}
	}
}

// TestFlushed empties the server, as an operator may: it forgets counts and scripts,
// and goes on.
func TestFlushed(t *testing.T) {
	server := startServer(t)
	s := newStore(t, at(server.address))
	s.takeAll(hourly(3))
	server.redis("FLUSHALL")
	server.redis("SCRIPT", "FLUSH")
	if got := s.takeAll(hourly(3)); got != 3 {
		t.Errorf("%d tokens were given, want 3", got)
	}
}

// TestRestarted restarts the server between two requests, which notice nothing.
func TestRestarted(t *testing.T) {
	server := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	s := newStore(t, at(server.address))
	for range 3 {
		s.take(hourly(3))
		server.restart()
	}
	if got := s.takeAll(hourly(3)); got != 0 {
		t.Errorf("%d tokens were given over the limit", got)
	}
}

func TestLocal(t *testing.T) {
	server := startServer(t)
	s := newStore(t, at(server.address, "on_error", "local"))
	s.takeAll(hourly(3))
	server.stop()
	if got := s.takeAll(hourly(3)); got != 3 {
		t.Errorf("%d tokens were given by the process, want 3", got)
	}
	// A reload has another store for the same server, which goes on counting, also if
	// its owner gave it another timeout meanwhile.
	after := newStore(t, at(server.address, "on_error", "local", "timeout", "400ms"))
	s.unload()
	if got := after.takeAll(hourly(3)); got != 0 {
		t.Errorf("%d tokens were given after a reload", got)
	}
	eventually(t, "it is told", func() bool { return len(after.log("this process counts by itself")) > 0 })
	server.restart()
	eventually(t, "the server counts", func() bool { return after.takeAll(hourly(3)) > 0 })
	if got := server.tokens(); got != 3 {
		t.Errorf("the server counts %d tokens, want 3", got)
	}

	after.unload()
	server.stop()
	again := newStore(t, at(server.address, "on_error", "local"))
	if got := again.takeAll(hourly(3)); got != 3 {
		t.Errorf("%d tokens were given by a process that no config used before, want 3", got)
	}
}

// TestLocalScope has two handlers that share their limits do so, too, while the
// server is down.
func TestLocalScope(t *testing.T) {
	s := newStore(t, at(freeAddress(t), "on_error", "local", "scope", "shared"))
	for handler, want := range []int{3, 0} {
		got := 0
		for range 4 {
			if _, err := s.Take(t.Context(), strconv.Itoa(handler), []limit.Claim{hourly(3)}); err == nil {
				got++
			}
		}
		if got != want {
			t.Errorf("handler %d got %d tokens, want %d", handler, got, want)
		}
	}
}

// TestDownAtLoad loads a config while the server is down.
func TestDownAtLoad(t *testing.T) {
	address := freeAddress(t)
	s := newStore(t, at(address))
	s.start()
	eventually(t, "it is told", func() bool { return len(s.log("the limit store does not answer")) > 0 })
	if told := s.log("the limit store does not answer"); len(told) != 1 || !strings.Contains(told[0], `"level":"warn"`) {
		t.Errorf("told %q", told)
	}
	if !s.fails(hourly(1)) {
		t.Error("got a token")
	}
}

// TestNothingIsSentBeforeTheStart provisions a store, as caddy validate does.
func TestNothingIsSentBeforeTheStart(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed when the test ends
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := newStore(t, at(listener.Addr().String(), "on_error", "local"))
	s.unload()
	_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(100 * time.Millisecond))
	if conn, err := listener.Accept(); err == nil {
		t.Errorf("%s connected", conn.RemoteAddr())
	}
}

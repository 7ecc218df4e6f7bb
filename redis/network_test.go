// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
	"github.com/redis/go-redis/v9"
)

// burst has several stores asked at once, and returns how many tokens they gave. A
// third of the requests fail afterwards and give theirs back.
func burst(t *testing.T, stores []*store, requests int, claims ...limit.Claim) int {
	t.Helper()
	var through atomic.Int32
	var group sync.WaitGroup
	for i := range requests {
		group.Go(func() {
			taken, err := stores[i%len(stores)].ask(claims...)
			switch {
			case err != nil:
			case i%3 == 0:
				taken.GiveBack()
			default:
				through.Add(1)
			}
		})
	}
	group.Wait()
	return int(through.Load())
}

// TestFleet asks for six times what a limit allows, of two stores at once.
func TestFleet(t *testing.T) {
	server := startServer(t)
	first, second := newStore(t, at(server.address, "timeout", "2s")), newStore(t, at("unix://"+server.socket, "timeout", "2s"))
	for range 20 {
		server.redis("FLUSHALL")
		through := burst(t, []*store{first, second}, 120, hourly(20))
		through += second.takeAll(hourly(20))
		if through != 20 || server.tokens() != 20 {
			t.Fatalf("%d tokens were given, and the server counts %d; want 20", through, server.tokens())
		}
	}
}

// TestBrokenReplies breaks a third of the connections before the server's reply has
// come through: the server took, and the store does not know.
func TestBrokenReplies(t *testing.T) {
	server := startServer(t)
	proxy := startProxy(t, server.address)
	first, second := newStore(t, at(proxy.address)), newStore(t, at(proxy.address))
	lost := func() bool { return rand.IntN(3) > 0 } //nolint:gosec // chance is all it takes
	for _, broken := range []*atomic.Pointer[func() bool]{&proxy.reply, &proxy.request} {
		server.redis("FLUSHALL")
		broken.Store(&lost)
		through := burst(t, []*store{first, second}, 120, hourly(20))
		broken.Store(nil)
		for _, s := range []*store{first, second} {
			eventually(t, "the store works again", func() bool { return !s.fails(hourly(1)) })
		}
		through += first.takeAll(hourly(20))
		if through > 20 {
			t.Errorf("%d tokens were given, want 20 at most", through)
		}
		// What was lost was given back when the server answered again.
		if through < 20 || server.tokens() != 20 {
			t.Errorf("%d tokens were given, and the server counts %d; want 20", through, server.tokens())
		}
	}
}

// TestLostReplyIsAskedForAgain breaks one connection after the server took.
func TestLostReplyIsAskedForAgain(t *testing.T) {
	server := startServer(t)
	proxy := startProxy(t, server.address)
	s := newStore(t, at(proxy.address))
	s.take(hourly(3))
	var broken atomic.Bool
	once := func() bool { return broken.Swap(true) }
	proxy.reply.Store(&once)
	s.take(hourly(3))
	if !broken.Load() || server.tokens() != 2 {
		t.Errorf("the server counts %d tokens, want 2", server.tokens())
	}
}

// TestLateTake holds a take up until its request has been answered.
func TestLateTake(t *testing.T) {
	server := startServer(t)
	proxy := startProxy(t, server.address)
	s := newStore(t, at(proxy.address, "timeout", "300ms"))
	s.take(hourly(3))
	held := make(chan struct{})
	hold := func() bool { <-held; return true }
	proxy.request.Store(&hold)
	if !s.fails(hourly(3)) {
		t.Error("got an answer that the server has not given")
	}
	before := server.commands("evalsha")
	proxy.request.Store(nil)
	close(held)
	eventually(t, "the take arrives", func() bool { return server.commands("evalsha") > before })
	if got := server.tokens(); got != 1 {
		t.Errorf("the server counts %d tokens, want 1", got)
	}
}

// commands returns how often a command was called.
func (s *server) commands(name string) (calls int) {
	s.t.Helper()
	for line := range strings.Lines(s.redis("INFO", "commandstats").(string)) {
		if after, ok := strings.CutPrefix(line, "cmdstat_"+name+":calls="); ok {
			if _, err := fmt.Sscan(after, &calls); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return calls
}

// TestSlow has a server that answers slowly, but in time.
func TestSlow(t *testing.T) {
	server := startServer(t)
	proxy := startProxy(t, server.address)
	s := newStore(t, at(proxy.address, "timeout", "2s"))
	slow := func() bool { time.Sleep(100 * time.Millisecond); return true }
	proxy.reply.Store(&slow)
	if got := s.takeAll(hourly(3)); got != 3 {
		t.Errorf("%d tokens were given, want 3", got)
	}
}

// takeScript is what stores have a server do.
func takeScript(t *testing.T) *redis.Script {
	t.Helper()
	source, err := os.ReadFile("take.lua")
	if err != nil {
		t.Fatal(err)
	}
	return redis.NewScript(string(source))
}

// TestScript has the script do what depends on the server's clock.
func TestScript(t *testing.T) {
	server := startServer(t)
	script := takeScript(t)
	const never = 1 << 52
	run := func(t *testing.T, id string, deadline int64, args ...any) []int64 {
		t.Helper()
		reply, err := script.Run(t.Context(), server.client, []string{t.Name()}, append([]any{id, deadline}, args...)...).Int64Slice()
		if err != nil {
			t.Fatal(err)
		}
		return reply[1:]
	}
	hour := time.Hour.Microseconds()
	now := func() time.Time { return server.client.Time(t.Context()).Val() }

	t.Run("refuses what comes after its deadline", func(t *testing.T) {
		if got := run(t, "late", now().UnixMicro()-1, 5, hour); got[0] != 2 {
			t.Errorf("got %d, want that it is too late", got)
		}
		if got := run(t, "in time", now().Add(time.Minute).UnixMicro(), 5, hour); got[0] != 0 {
			t.Errorf("got %d, want a token", got)
		}
		if got := server.redis("ZRANGE", t.Name(), 0, -1).([]any); !slices.Equal(got, []any{"in time"}) {
			t.Errorf("it counts %v", got)
		}
	})
	t.Run("takes the same take once", func(t *testing.T) {
		for range 3 {
			if got := run(t, "one", never, 1, hour); got[0] != 0 {
				t.Errorf("got %d, want a token", got)
			}
		}
		if got := run(t, "another", never, 1, hour); got[0] != 1 {
			t.Errorf("got %d, want a refusal", got)
		}
	})
	t.Run("survives a clock that is set back", func(t *testing.T) {
		// Tokens of a time that is still to come.
		for i, id := range []string{"a", "b"} {
			server.redis("ZADD", t.Name(), now().Add(time.Duration(i+1)*5*time.Hour).UnixMicro(), id)
		}
		got := run(t, "c", never, 2, hour)
		if got[0] != 1 || got[1] != hour {
			t.Errorf("got %d, want a refusal for an hour", got)
		}
		if got := run(t, "c", never, 3, hour); got[0] != 0 {
			t.Errorf("got %d, want a token", got)
		}
	})
	t.Run("forgets by itself", func(t *testing.T) {
		run(t, "one", never, 5, 10_000)
		if ttl := server.redis("PTTL", t.Name()).(int64); ttl < 10 || ttl > 1010 {
			t.Errorf("the key expires in %d ms", ttl)
		}
	})
}

// TestClockIsSet has the server's clock jump, as a failover to a server with another
// one does.
func TestClockIsSet(t *testing.T) {
	server := startServer(t)
	s := newStore(t, at(server.address))
	for _, ahead := range []time.Duration{-time.Hour, time.Hour, 0} {
		s.SetClock(ahead)
		s.take(hourly(10))
	}
	if got := server.tokens(); got != 3 {
		t.Errorf("the server counts %d tokens, want 3", got)
	}
}

// TestRetiredStore uses a store whose config is unloaded, as requests do that are
// served during a reload.
func TestRetiredStore(t *testing.T) {
	server := startServer(t)
	s := newStore(t, at(server.address))
	early := s.take(hourly(3))
	s.unload()
	late := s.take(hourly(3))
	early.GiveBack()
	late.GiveBack()
	if got := server.tokens(); got != 0 {
		t.Errorf("the server counts %d tokens, want none", got)
	}
	eventually(t, "all connections are closed", func() bool {
		return strings.Count(server.redis("CLIENT", "LIST").(string), "addr=127.0.0.1") == 0
	})
}

func TestNoNamesInTheServer(t *testing.T) {
	server := startServer(t)
	s := newStore(t, at(server.address))
	claim := hourly(5)
	claim.Name, claim.Client = "{http.auth.user.id}", "alice@example.com"
	if _, err := s.Take(t.Context(), "example.com/session", []limit.Claim{claim}); err != nil {
		t.Fatal(err)
	}
	keys := server.keys()
	if len(keys) != 1 || !strings.HasPrefix(keys[0], "xai_ephemeral_token:{") {
		t.Errorf("the keys are %q", keys)
	}
	members := server.redis("ZRANGE", keys[0], 0, -1).([]any)
	for _, name := range []string{"alice", "example", "session", "user"} {
		if strings.Contains(keys[0], name) || strings.Contains(members[0].(string), name) {
			t.Errorf("the server can read %q", name)
		}
	}
}

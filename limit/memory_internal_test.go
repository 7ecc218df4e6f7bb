// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// perClient is a limit of each client, and site one for all of them.
var (
	perClient = Limit{Name: "client", Count: 10, Window: time.Minute}
	site      = Limit{Name: "site", Count: 50, Window: 24 * time.Hour}
)

func take(m *Memory, claims ...Claim) (*taken, error) {
	got, err := m.Take(nil, "", claims) //nolint:staticcheck // it has no use for a context
	if err != nil {
		return nil, err
	}
	return got.(*taken), nil
}

// count returns how many tokens are remembered, having counted them.
func (m *Memory) count(t *testing.T) (tokens int) {
	t.Helper()
	clients := 0
	swept := m.swept == &m.ends
	for c := m.ends.older; c != &m.ends; c = c.older {
		clients++
		swept = swept || m.swept == c
		tokens += c.times.count
		if m.clients[c.key] != c {
			t.Error("a client is in the ring and not in the map")
		}
		if c.older.newer != c || c.newer.older != c {
			t.Error("the ring is broken")
		}
	}
	if !swept {
		t.Error("a client is swept next that was forgotten")
	}
	if clients != len(m.clients) || tokens != m.remembered {
		t.Errorf("%d clients with %d tokens are there, and %d with %d accounted for", clients, tokens, len(m.clients), m.remembered)
	}
	return tokens
}

func TestMemoryForgets(t *testing.T) {
	client := func(i int) Claim { return Claim{perClient, strconv.Itoa(i)} }

	t.Run("the clients that were seen least recently", func(t *testing.T) {
		m := newMemory(30)
		for i := range 3 {
			for range 10 {
				if _, err := take(m, client(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := take(m, client(0)); err == nil {
			t.Error("a token over the limit")
		}
		m.Wait("", client(1)) // which is seeing it, too
		if _, err := take(m, client(3)); err != nil {
			t.Error(err)
		}
		for i, want := range []bool{true, true, false} {
			if known := m.Wait("", client(i)) > 0; known != want {
				t.Errorf("client %d is remembered: %t", i, known)
			}
		}
		if got := m.count(t); got != 21 {
			t.Errorf("%d tokens are remembered, want 21", got)
		}
	})
	t.Run("never a limit that all requests claim", func(t *testing.T) {
		m := newMemory(60)
		granted := 0
		for i := range 1000 {
			if _, err := take(m, Claim{site, ""}, client(i)); err == nil {
				granted++
			}
			// Others make it forget all that it can meanwhile.
			for j := range 20 {
				if _, err := take(m, client(1000+20*i+j), Claim{site, strconv.Itoa(i)}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := take(m, Claim{site, ""}, client(i)); err == nil {
				granted++
			}
			if m.count(t) > 60 {
				t.Fatalf("%d tokens are remembered, want 60 at most", m.remembered)
			}
			if granted >= site.Count {
				break
			}
			if i > 100 {
				t.Fatal("the site's limit is not reached")
			}
		}
	})
	t.Run("nothing of the request that is served", func(t *testing.T) {
		m := newMemory(5)
		for range 10 {
			if _, err := take(m, client(0), Claim{site, ""}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := take(m, client(0), Claim{site, ""}); err == nil {
			t.Error("a token over the limit")
		}
	})
	t.Run("those whose tokens do not count any more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := NewMemory()
			for i := range 1000 {
				if _, err := take(m, client(i)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(perClient.Window)
			for i := range 500 {
				if _, err := take(m, client(1000+i)); err != nil {
					t.Fatal(err)
				}
			}
			// Each newcomer has two looked at, and the first have nobody else.
			if got := m.count(t); got > 550 {
				t.Errorf("%d tokens are remembered, want about 500", got)
			}
		})
	})
	t.Run("and takes nothing back that was forgotten", func(t *testing.T) {
		m := newMemory(1)
		first, err := take(m, client(0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := take(m, client(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := take(m, client(0)); err != nil {
			t.Fatal(err)
		}
		first.GiveBack()
		if got := m.count(t); got != 1 {
			t.Errorf("%d tokens are remembered, want 1", got)
		}
	})
	t.Run("those to whom all was given back", func(t *testing.T) {
		m := NewMemory()
		for i := range 1000 {
			taken, err := take(m, client(i))
			if err != nil {
				t.Fatal(err)
			}
			taken.GiveBack()
		}
		if len(m.clients) > 2 {
			t.Errorf("%d clients without a token are remembered", len(m.clients))
		}
	})
}

// TestMemoryAddsUp takes and gives back at random, with more clients than can be
// remembered, and counts after each step.
func TestMemoryAddsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := rand.Uint64() //nolint:gosec // it only has to differ from run to run
		t.Logf("the seed is %d", seed)
		random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // as above
		m := newMemory(60)
		client := func() Claim {
			window := time.Duration(1+random.IntN(3)) * time.Second
			return Claim{Limit{Count: 3, Window: window}, strconv.Itoa(random.IntN(40))}
		}
		var inFlight []*taken
		for range 5000 {
			now := m.now()
			got, err := take(m, client(), Claim{site, strconv.Itoa(random.IntN(3))})
			if err == nil {
				inFlight = append(inFlight, got)
				for _, c := range got.clients {
					if m.clients[c.key] != c || c.times.at(c.times.count-1) != now {
						t.Fatal("a token was taken and is not remembered")
					}
				}
			}
			if i := random.IntN(10); i < len(inFlight) {
				inFlight[i].GiveBack()
				inFlight = inFlight[i:]
			}
			time.Sleep(time.Duration(random.IntN(int(100 * time.Millisecond))))
			if m.count(t) > 60 || t.Failed() {
				t.Fatalf("%d tokens are remembered, want 60 at most", m.remembered)
			}
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		claim := Claim{Limit{Count: 2, Window: time.Minute}, "alice"}
		for range 2 {
			for range 3 {
				if wait := m.Wait("", claim); wait != 0 {
					t.Fatalf("got the wait %s before the limit is reached", wait)
				}
			}
			if _, err := take(m, claim); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if wait := m.Wait("", claim); wait != 58*time.Second {
			t.Errorf("got the wait %s, want 58s", wait)
		}
	})
}

// TestTimes holds the queue against a slice, in all of its sizes.
func TestTimes(t *testing.T) {
	var queue times
	var want []int64
	now := int64(0)
	for i := range 20_000 {
		grow := i%4000 < 2000
		switch {
		case grow || i%5 == 0:
			now += int64(i % 3) // some are equal
			queue.add(now)
			want = append(want, now)
		case i%7 == 0 && len(want) > 0:
			at := want[i%len(want)]
			if !queue.remove(at) || queue.remove(now+1) {
				t.Fatal("removed another time than what was there")
			}
			for j := range want {
				if want[j] == at {
					want = append(want[:j:j], want[j+1:]...)
					break
				}
			}
		case len(want) > 0:
			until := want[min(2, len(want)-1)]
			removed := queue.expire(until)
			for range removed {
				if want[0] > until {
					t.Fatalf("%d expired until %d", want[0], until)
				}
				want = want[1:]
			}
		}
		if queue.count != len(want) {
			t.Fatalf("there are %d times, want %d", queue.count, len(want))
		}
		for j := range min(3, len(want)) {
			if last := len(want) - 1 - j; queue.at(j) != want[j] || queue.at(last) != want[last] {
				t.Fatalf("at %d: got another time", j)
			}
		}
		if len(queue.ring) > 8 && len(queue.ring) > 8*max(1, queue.count) {
			t.Fatalf("%d times take the room of %d", queue.count, len(queue.ring))
		}
	}
}

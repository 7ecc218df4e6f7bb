// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

const (
	// maxRemembered bounds what a Memory remembers, in tokens.
	maxRemembered = 1_000_000

	// usualClaims is up to how many claims need no memory of their own.
	usualClaims = 4

	// sweptByMeeting is at how many clients to look, whether they can be forgotten,
	// before there is one more. With two, those that can be are soon as many as those
	// that cannot, and never many more.
	sweptByMeeting = 2
)

// Memory is a [Store] in this process's memory.
//
// It remembers a million tokens. When there are more, it forgets the clients that
// were seen least recently, with all of their tokens, but never those of the Take
// that is made. So a limit that all requests claim, for all clients together, is
// never forgotten, however many clients there are: each request sees it.
//
// Time is this process's monotonic clock, so a wall clock that is set has no
// effect. Where that clock stands still while a machine sleeps, tokens count for
// so much longer.
type Memory struct {
	start time.Time
	seed  maphash.Seed
	most  int // how many tokens are remembered

	mu         sync.Mutex
	clients    map[uint64]*client // by a hash: long names take no memory
	remembered int                // tokens of all clients
	takes      uint64             // how often something was asked for

	// The clients in a ring, from the one seen last to the one seen least recently:
	// ends.older is the former, ends.newer the latter.
	ends client

	// The client that is looked at next whether it can be forgotten.
	swept *client
}

// client is what is remembered of a client and a limit.
type client struct {
	key          uint64
	window       int64
	times        times
	seen         uint64 // in which take
	newer, older *client
}

// NewMemory returns a store that remembers nothing yet.
func NewMemory() *Memory {
	return newMemory(maxRemembered)
}

func newMemory(most int) *Memory {
	m := &Memory{start: time.Now(), seed: maphash.MakeSeed(), most: most, clients: make(map[uint64]*client)}
	m.ends.newer, m.ends.older = &m.ends, &m.ends
	m.swept = &m.ends
	return m
}

// Take takes a token of each claim or of none. It never fails but with a
// [*RefusedError].
func (m *Memory) Take(_ context.Context, scope string, claims []Claim) (Taken, error) {
	var keyBuffer [usualClaims]uint64
	keys := keyBuffer[:0]
	for i := range claims {
		keys = append(keys, m.key(scope, &claims[i]))
	}
	taken := &taken{memory: m}
	taken.clients = taken.buffer[:0]

	m.mu.Lock()
	defer m.mu.Unlock()
	m.takes++
	taken.at = m.now() // with mu held, so that each client's times are in order
	var refusal *RefusedError
	for i, key := range keys {
		c, wait := m.wait(key, &claims[i], taken.at)
		taken.clients = append(taken.clients, c)
		if wait > 0 {
			if refusal == nil {
				refusal = new(RefusedError)
			}
			refusal.Limits = append(refusal.Limits, i)
			refusal.Wait = max(refusal.Wait, time.Duration(wait))
		}
	}
	if refusal != nil {
		return nil, refusal
	}
	for i, c := range taken.clients {
		if c == nil {
			c = m.meet(keys[i], claims[i].Window, taken.at)
			taken.clients[i] = c
		}
		c.times.add(taken.at)
	}
	m.remembered += len(keys)
	m.shed()
	return taken, nil
}

// Wait returns how long it takes until a claim would be granted, zero if it would
// be now. It takes nothing.
func (m *Memory) Wait(scope string, claim Claim) time.Duration {
	key := m.key(scope, &claim)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.takes++
	_, wait := m.wait(key, &claim, m.now())
	return time.Duration(wait)
}

// key returns what a claim is counted under. Claims whose keys are equal by chance
// share their tokens, which nobody can bring about: the seed is secret.
func (m *Memory) key(scope string, claim *Claim) uint64 {
	return maphash.Comparable(m.seed, struct {
		scope, name, client string
		window              time.Duration
	}{scope, claim.Name, claim.Client, claim.Window})
}

func (m *Memory) now() int64 { return int64(time.Since(m.start)) }

// The methods below are called with mu held.

// wait returns the client of a claim, nil if there is none yet, and how long it
// takes until the claim would be granted. The client has been seen then.
func (m *Memory) wait(key uint64, claim *Claim, now int64) (c *client, wait int64) {
	c = m.clients[key]
	if c == nil {
		return nil, 0
	}
	m.see(c)
	m.remembered -= c.times.expire(now - c.window)
	over := c.times.count - claim.Count
	if over < 0 {
		return c, 0
	}
	return c, c.times.at(over) + c.window - now
}

func (m *Memory) meet(key uint64, window time.Duration, now int64) *client {
	m.sweep(now)
	c := &client{key: key, window: int64(window)}
	c.newer, c.older = c, c
	m.clients[key] = c
	m.see(c)
	return c
}

// see makes a client the one that was seen last.
func (m *Memory) see(c *client) {
	c.seen = m.takes
	m.unlink(c)
	c.newer, c.older = &m.ends, m.ends.older
	c.newer.older, c.older.newer = c, c
}

func (m *Memory) unlink(c *client) {
	if m.swept == c {
		m.swept = c.newer
	}
	c.newer.older, c.older.newer = c.older, c.newer
}

func (m *Memory) forget(c *client) {
	m.unlink(c)
	delete(m.clients, c.key)
	m.remembered -= c.times.count
	c.times = times{} // which a token in flight would keep, and could give back
}

// shed forgets the clients seen least recently until no more is remembered than
// shall be.
func (m *Memory) shed() {
	for m.remembered > m.most {
		oldest := m.ends.newer
		if oldest.seen == m.takes {
			return // only clients of this take are left
		}
		m.forget(oldest)
	}
}

// sweep looks at a few clients and forgets those whose tokens do not count any
// more, so that clients who never come back take no memory for long, nor have
// others forgotten.
func (m *Memory) sweep(now int64) {
	for range min(sweptByMeeting, len(m.clients)) {
		if m.swept == &m.ends {
			m.swept = m.ends.newer
		}
		c := m.swept
		m.swept = c.newer
		lapsed := c.times.count == 0 || c.times.at(c.times.count-1) <= now-c.window
		if lapsed && c.seen != m.takes {
			m.forget(c)
		}
	}
}

// taken is the tokens of one Take.
type taken struct {
	memory  *Memory
	at      int64
	clients []*client // nil once they were given back
	buffer  [usualClaims]*client
}

// GiveBack removes the tokens from those of their clients. Tokens of a client that
// were taken at the same time are the same, so it does not matter which one is
// removed.
func (t *taken) GiveBack() {
	m := t.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range t.clients {
		if c.times.remove(t.at) {
			m.remembered--
		}
	}
	t.clients = nil
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"sync"
	"time"
)

// clock knows how far the server's clock is ahead of this process's, so that the
// server can be told when a request will have given up. It is wrong by no more than
// a reply took, and where it is, a take is refused or a token lost, never gained.
type clock struct {
	start time.Time // of this process's

	mu    sync.Mutex
	known bool
	ahead time.Duration
}

// learn takes in what the server's clock said, in microseconds, at some time between
// two of this process's.
func (c *clock) learn(asked, answered time.Time, micros int64) {
	server := time.Duration(micros) * time.Microsecond
	least, most := server-answered.Sub(c.start), server-asked.Sub(c.start)
	c.mu.Lock()
	defer c.mu.Unlock()
	// Of what can be true the least: a deadline must not be too late. What was learned
	// from a quicker answer is nearer to the truth.
	if !c.known || c.ahead < least || c.ahead > most {
		c.known, c.ahead = true, least
	}
}

// micros returns a time of this process by the server's clock, and whether anything
// is known of that.
func (c *clock) micros(t time.Time) (micros int64, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return (t.Sub(c.start) + c.ahead).Microseconds(), c.known
}

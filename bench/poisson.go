// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// poisson is a vegeta.Pacer: requests arrive independently of each other, as
// those of many clients do, so that the gaps between them are exponentially
// distributed. The same seed gives the same arrivals.
type poisson struct {
	rate     float64 // in a second
	duration time.Duration
	random   *rand.Rand

	// giveUp says whether to stop early.
	giveUp func(sent uint64) bool

	mu       sync.Mutex
	began    time.Time
	arrivals []time.Duration // since it began, one for each hit
}

func newPoisson(rate float64, duration time.Duration, seed uint64, giveUp func(sent uint64) bool) *poisson {
	return &poisson{
		rate:     rate,
		duration: duration,
		random:   rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // arrivals are no secret
		giveUp:   giveUp,
	}
}

// Pace implements vegeta.Pacer. It is called once for each hit.
func (p *poisson) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var last time.Duration
	if len(p.arrivals) == 0 {
		p.began = time.Now().Add(-elapsed)
	} else {
		last = p.arrivals[len(p.arrivals)-1]
	}
	next := last + time.Duration(p.random.ExpFloat64()/p.rate*float64(time.Second))
	if next > p.duration || p.giveUp(hits) {
		return 0, true
	}
	p.arrivals = append(p.arrivals, next)
	// Late is late: later arrivals do not move.
	return max(0, next-elapsed), false
}

// Rate implements vegeta.Pacer.
func (p *poisson) Rate(time.Duration) float64 { return p.rate }

// lateness returns how long after its time a hit was sent.
func (p *poisson) lateness(hit uint64, sent time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if hit >= uint64(len(p.arrivals)) {
		return 0
	}
	return sent.Sub(p.began.Add(p.arrivals[hit]))
}

// Interface guard
var _ vegeta.Pacer = (*poisson)(nil)

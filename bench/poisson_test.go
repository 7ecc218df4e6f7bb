// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"testing"
	"time"
)

func neverGiveUp(uint64) bool { return false }

// arrivals lets a pacer plan all of its hits, as if each was sent in time.
func arrivals(p *poisson) []time.Duration {
	var elapsed time.Duration
	for hits := uint64(0); ; hits++ {
		wait, stop := p.Pace(elapsed, hits)
		if stop {
			return p.arrivals
		}
		elapsed += wait
	}
}

func TestPoisson(t *testing.T) {
	const rate, duration = 500, 200 * time.Second // 100,000 hits
	planned := arrivals(newPoisson(rate, duration, 1, neverGiveUp))
	var last, sum time.Duration
	var squares, long float64
	const mean = time.Second / rate
	for _, arrival := range planned {
		gap := arrival - last
		last = arrival
		sum += gap
		squares += math.Pow(float64(gap-mean), 2)
		if gap > mean {
			long++
		}
	}
	hits := float64(len(planned))

	// The tolerances are five standard deviations and more.
	t.Run("has the mean rate", func(t *testing.T) {
		if got := hits / duration.Seconds(); math.Abs(got-rate) > 0.02*rate {
			t.Errorf("%g hits in a second, want %d", got, rate)
		}
	})
	t.Run("has exponential gaps", func(t *testing.T) {
		deviation := time.Duration(math.Sqrt(squares / hits))
		if math.Abs(float64(deviation-mean)) > 0.03*float64(mean) {
			t.Errorf("their standard deviation is %s, want the mean %s", deviation, mean)
		}
		if share := long / hits; math.Abs(share-1/math.E) > 0.01 {
			t.Errorf("%.3f of them are longer than the mean, want 1/e", share)
		}
	})
	t.Run("repeats itself with the same seed only", func(t *testing.T) {
		if !slices.Equal(planned, arrivals(newPoisson(rate, duration, 1, neverGiveUp))) {
			t.Error("the same seed has other arrivals")
		}
		if slices.Equal(planned, arrivals(newPoisson(rate, duration, 2, neverGiveUp))) {
			t.Error("another seed has the same arrivals")
		}
	})
	t.Run("catches up when it is late", func(t *testing.T) {
		p := newPoisson(rate, time.Minute, 1, neverGiveUp)
		for hits := range uint64(3) {
			if wait, stop := p.Pace(time.Second, hits); wait != 0 || stop {
				t.Errorf("hit %d waits for %s, stop %t", hits, wait, stop)
			}
		}
		if !slices.Equal(p.arrivals, planned[:3]) {
			t.Errorf("arrivals moved to %v", p.arrivals)
		}
		if got, want := p.lateness(2, p.began.Add(time.Second)), time.Second-planned[2]; got != want {
			t.Errorf("the third hit is %s late, want %s", got, want)
		}
	})
	t.Run("gives up when told", func(t *testing.T) {
		planned := arrivals(newPoisson(rate, time.Minute, 1, func(sent uint64) bool { return sent == 7 }))
		if len(planned) != 7 {
			t.Errorf("%d hits, want 7", len(planned))
		}
	})
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"
)

func TestArrivals(t *testing.T) {
	const rate, duration = 500, 200 * time.Second // 100,000 arrivals
	planned := arrivals(rate, duration, 1)
	const mean = float64(time.Second / rate)
	gaps := make([]float64, len(planned))
	long := 0.0
	var last time.Duration
	for i, arrival := range planned {
		gaps[i] = float64(arrival - last)
		last = arrival
		if gaps[i] > mean {
			long++
		}
	}

	// The tolerances are five standard deviations and more.
	t.Run("have the mean rate", func(t *testing.T) {
		if got := float64(len(planned)) / duration.Seconds(); math.Abs(got-rate) > 0.02*rate {
			t.Errorf("%g in a second, want %d", got, rate)
		}
	})
	t.Run("have exponential gaps", func(t *testing.T) {
		if deviation := stat.StdDev(gaps, nil); math.Abs(deviation-mean) > 0.03*mean {
			t.Errorf("their standard deviation is %g ns, want the mean %g ns", deviation, mean)
		}
		if share := long / float64(len(gaps)); math.Abs(share-1/math.E) > 0.01 {
			t.Errorf("%.3f of them are longer than the mean, want 1/e", share)
		}
	})
	t.Run("are the same with the same seed only", func(t *testing.T) {
		if !slices.Equal(planned, arrivals(rate, duration, 1)) {
			t.Error("the same seed has other arrivals")
		}
		if slices.Equal(planned, arrivals(rate, duration, 2)) {
			t.Error("another seed has the same arrivals")
		}
	})
}

func TestPoisson(t *testing.T) {
	p := &poisson{arrivals: []time.Duration{10, 20, 30, 40}, giveUp: func(sent uint64) bool { return sent == 3 }}
	for name, test := range map[string]struct {
		elapsed time.Duration
		hits    uint64
		wait    time.Duration
		stop    bool
	}{
		"waits for an arrival":       {15, 1, 5, false},
		"catches up when it is late": {1000, 2, 0, false},
		"gives up when told":         {0, 3, 0, true},
		"ends after the last one":    {0, 4, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			if wait, stop := p.Pace(test.elapsed, test.hits); wait != test.wait || stop != test.stop {
				t.Errorf("waits %d and stops %t, want %d and %t", wait, stop, test.wait, test.stop)
			}
		})
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestMedian(t *testing.T) {
	for name, test := range map[string]struct {
		values []float64
		want   float64
	}{
		"of one":              {[]float64{7}, 7},
		"of an odd number":    {[]float64{9, 1, 5}, 5},
		"of an even number":   {[]float64{4, 1, 3, 100}, 3.5},
		"is not moved by one": {[]float64{1, 1, 1, 1, 1e9}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := median(test.values); got != test.want {
				t.Errorf("got %g, want %g", got, test.want)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	values := make([]float64, 200)
	for i := range values {
		values[len(values)-1-i] = float64(i + 1) // 200 to 1: it must sort
	}
	for p, want := range map[float64]float64{50: 100, 90: 180, 99: 198, 100: 200} {
		if got := percentile(values, p); got != want {
			t.Errorf("p%g of 1 to 200 is %g, want %g", p, got, want)
		}
	}
	if got := percentile(nil, 99); got != 0 {
		t.Errorf("p99 of nothing is %g, want 0", got)
	}
	if values[0] != 200 {
		t.Error("the values were sorted in place")
	}
}

// TestMedianRatio has a machine that is ten times slower in the second round.
func TestMedianRatio(t *testing.T) {
	if got := medianRatio([]float64{200, 20, 190}, []float64{100, 10, 100}); got != 2 {
		t.Errorf("got %g, want 2", got)
	}
}

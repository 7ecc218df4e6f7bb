// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"gonum.org/v1/gonum/stat"
)

// median returns the middle of the values, of which there must be one at least.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile returns the least value that p percent of the values do not exceed,
// 0 of no values.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return stat.Quantile(p/100, stat.Empirical, slices.Sorted(slices.Values(values)), nil)
}

// medianRatio returns the median of the ratios of values that were measured in
// the same round. What slows a machine down for a while slows both down, so it
// hardly shows in their ratio.
func medianRatio(numerators, denominators []float64) float64 {
	ratios := make([]float64, len(numerators))
	for i := range numerators {
		ratios[i] = numerators[i] / denominators[i]
	}
	return median(ratios)
}

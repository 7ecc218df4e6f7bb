// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// minSamples is how many are needed to tell growth from chance.
const minSamples = 9

// soakedMetrics are what must not grow, with how much more the last third of
// the samples may have than the middle one, besides a tenth.
var soakedMetrics = []struct {
	name, metric, unit string
	divisor, slack     float64
}{
	{"goroutines", "go_goroutines", "", 1, 10},
	{"descriptors", "process_open_fds", "", 1, 10},
	{"memory", "process_resident_memory_bytes", " MiB", 1 << 20, 6},
	{"heap", "go_memstats_heap_alloc_bytes", " MiB", 1 << 20, 2},
}

// sample is the state of the process at one moment, a value for each of the
// metrics. Negative is one that the system does not have.
type sample struct {
	at     time.Duration
	values []float64
}

func (s sample) String() string {
	parts := []string{s.at.Round(time.Second).String()}
	for i, m := range soakedMetrics {
		parts = append(parts, fmt.Sprintf("%s %.1f%s", m.name, s.values[i], m.unit))
	}
	return strings.Join(parts, ", ")
}

// takeSample collects the garbage of a Caddy and reads its metrics.
func takeSample(ctx context.Context, admin string) (sample, error) {
	if _, err := fetchAdmin(ctx, admin, "/debug/pprof/heap?gc=1"); err != nil {
		return sample{}, err
	}
	families, err := readMetrics(ctx, admin)
	if err != nil {
		return sample{}, err
	}
	var taken sample
	for _, m := range soakedMetrics {
		value := -1.0
		for _, metric := range families[m.metric].GetMetric() {
			value = metric.GetGauge().GetValue() / m.divisor
		}
		taken.values = append(taken.values, value)
	}
	if taken.values[0] < 0 {
		return taken, errors.New("reading /metrics: there is no number of goroutines")
	}
	return taken, nil
}

// column returns the values of a metric, for all samples.
func column(samples []sample, metric int) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = s.values[metric]
	}
	return values
}

// compareThirds says what has grown from the middle third of the samples to the
// last one. The first third is for warming up.
func compareThirds(samples []sample) []string {
	if len(samples) < minSamples {
		return []string{fmt.Sprintf("there are only %d samples", len(samples))}
	}
	var grown []string
	third := len(samples) / 3
	for i, m := range soakedMetrics {
		values := column(samples, i)
		middle, last := median(values[third:2*third]), median(values[len(values)-third:])
		if last > middle*1.1+m.slack {
			grown = append(grown, fmt.Sprintf("%s grew from %.1f%s to %.1f%s", m.name, middle, m.unit, last, m.unit))
		}
	}
	return grown
}

// soakReport describes a soak in Markdown.
func soakReport(s soakSettings, samples []sample, load *soakLoad, reloads int) string {
	var w bytes.Buffer
	fmt.Fprintf(&w, "Soaked for %s at %d requests a second, %d reloads: %s.\n\n", s.duration, s.rate, reloads, load)
	third := len(samples) / 3
	if third == 0 {
		return w.String()
	}
	var rows [][]string
	for i, m := range soakedMetrics {
		values := column(samples, i)
		row := []string{m.name + m.unit}
		for _, part := range [][]float64{values[:third], values[third : 2*third], values[len(values)-third:]} {
			row = append(row, fmt.Sprintf("%.1f", median(part)))
		}
		rows = append(rows, row)
	}
	writeTable(&w, []string{"median of the", "first third", "middle third", "last third"}, rows)
	return w.String()
}

// saveSamples writes the samples as CSV.
func saveSamples(path string, samples []sample) error {
	var w strings.Builder
	w.WriteString("seconds")
	for _, m := range soakedMetrics {
		w.WriteString("," + m.name + strings.ReplaceAll(m.unit, " ", "_"))
	}
	for _, s := range samples {
		fmt.Fprintf(&w, "\n%.0f", s.at.Seconds())
		for _, value := range s.values {
			fmt.Fprintf(&w, ",%.2f", value)
		}
	}
	w.WriteString("\n")
	return os.WriteFile(path, []byte(w.String()), 0o644) //nolint:gosec // not secret
}

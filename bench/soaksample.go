// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// minSamples is how many are needed to tell growth from chance.
const minSamples = 9

// soakedMetrics are what must not grow, with how much more the last third of
// the samples may have than the middle one, besides a tenth.
var soakedMetrics = []struct {
	name, metric   string
	divisor, slack float64
}{
	{"goroutines", "go_goroutines", 1, 10},
	{"descriptors", "process_open_fds", 1, 10},
	{"memory in MiB", "process_resident_memory_bytes", 1 << 20, 6},
	{"heap in MiB", "go_memstats_heap_alloc_bytes", 1 << 20, 2},
}

// samples are the metrics of a process, each with its value at each moment. One
// that the system does not have is missing.
type samples struct {
	moments []time.Duration
	values  map[string][]float64
}

// take collects the garbage of a Caddy and reads its metrics.
func (s *samples) take(ctx context.Context, admin string, moment time.Duration) error {
	if _, _, err := fetch(ctx, http.MethodGet, "http://"+admin+"/debug/pprof/heap?gc=1"); err != nil {
		return err
	}
	metrics, err := readMetrics(ctx, admin)
	if err != nil {
		return err
	}
	if metrics["go_goroutines"] == 0 {
		return errors.New("reading /metrics: there is no number of goroutines")
	}
	s.moments = append(s.moments, moment)
	for _, m := range soakedMetrics {
		if value, ok := metrics[m.metric]; ok {
			s.values[m.name] = append(s.values[m.name], value/m.divisor)
		}
	}
	return nil
}

// lines returns the samples as a table with a header.
func (s *samples) lines() [][]string {
	lines := [][]string{{"time"}}
	for _, moment := range s.moments {
		lines = append(lines, []string{moment.Round(time.Second).String()})
	}
	for _, m := range soakedMetrics {
		if len(s.values[m.name]) > 0 {
			lines[0] = append(lines[0], m.name)
		}
		for i, value := range s.values[m.name] {
			lines[i+1] = append(lines[i+1], fmt.Sprintf("%.2f", value))
		}
	}
	return lines
}

// String describes the last sample.
func (s *samples) String() string {
	lines := s.lines()
	last := lines[len(lines)-1]
	for i, title := range lines[0] {
		last[i] = title + " " + last[i]
	}
	return strings.Join(last, ", ")
}

// save writes the samples as CSV.
func (s *samples) save(path string) error {
	file, err := os.Create(path) //nolint:gosec // whoever runs the soak names it
	if err != nil {
		return err
	}
	return errors.Join(csv.NewWriter(file).WriteAll(s.lines()), file.Close())
}

// thirds returns the medians of a metric in each third of the samples.
func (s *samples) thirds(metric string) (first, middle, last float64) {
	values := s.values[metric]
	third := len(values) / 3
	return median(values[:third]), median(values[third : 2*third]), median(values[len(values)-third:])
}

// grown says what has grown from the middle third of the samples to the last one.
// The first third is for warming up.
func (s *samples) grown() (grown []string) {
	if len(s.moments) < minSamples {
		return []string{fmt.Sprintf("there are only %d samples", len(s.moments))}
	}
	for _, m := range soakedMetrics {
		if len(s.values[m.name]) == 0 {
			continue
		}
		if _, middle, last := s.thirds(m.name); last > middle*1.1+m.slack {
			grown = append(grown, fmt.Sprintf("%s grew from %.1f to %.1f", m.name, middle, last))
		}
	}
	return grown
}

// markdown returns a table of the thirds, once there are enough samples.
func (s *samples) markdown() string {
	var rows [][]string
	for _, m := range soakedMetrics {
		if len(s.values[m.name]) >= minSamples {
			first, middle, last := s.thirds(m.name)
			rows = append(rows, []string{m.name, fmt.Sprintf("%.1f", first), fmt.Sprintf("%.1f", middle), fmt.Sprintf("%.1f", last)})
		}
	}
	return markdownTable([]string{"median of", "first third", "middle third", "last third"}, rows)
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strconv"
)

func (l *latency) writeMarkdown(w *bytes.Buffer) {
	fmt.Fprintf(w, "Requests arrive at random times, whether or not earlier ones were answered, at the same times for each contender. A\n"+
		"contender that has %d seconds' worth of requests waiting does not keep up. The plugin that prefetches has `prefetch %d`.\n",
		overloadAfter, latencyPrefetch)
	for _, s := range l.Scenarios {
		fmt.Fprintf(w, "\n### %g requests/s, the upstream takes %s\n\n", s.Rate, s.Upstream)
		s.writeTable(w)
	}
}

func (s *scenario) writeTable(w *bytes.Buffer) {
	rows := make([][]string, len(s.Contenders))
	for i := range s.Contenders {
		c := &s.Contenders[i]
		cells := []string{"does not keep up", "–", "–", "–"}
		if c.KeptUp {
			cells = []string{formatMilliseconds(c.All.P50), formatMilliseconds(c.All.P90), formatMilliseconds(c.All.P99), formatMilliseconds(c.All.Max)}
		}
		hits := ""
		if c.StockHits != nil {
			hits = fmt.Sprintf("%.2f %%", 100**c.StockHits)
		}
		rows[i] = append(append([]string{c.Name}, cells...),
			strconv.Itoa(c.Requests), strconv.Itoa(c.Failures), hits, formatMilliseconds(c.Lateness.P99))
	}
	writeTable(w, []string{"contender", "median", "p90", "p99", "longest", "requests", "failed", "from stock", "generator's p99 delay"}, rows)
}

func formatMilliseconds(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	default:
		return fmt.Sprintf("%.0f ms", ms)
	}
}

// find returns the figures of a contender that kept up and answered every
// request, nil if there are none.
func (s *scenario) find(name string) *latencyFigures {
	for i := range s.Contenders {
		if c := &s.Contenders[i]; c.Name == name && c.KeptUp && c.Failures == 0 {
			return c
		}
	}
	return nil
}

func (l *latency) targets() []target {
	var targets []target
	for _, s := range l.Scenarios {
		if s.Rate != keyRate || s.Upstream != keyLatency {
			continue
		}
		var p50, p99, hits *float64
		if plugin, rival := s.find(prefetching), s.find(recipe); plugin != nil && rival != nil {
			p50 = new(100 * plugin.All.P50 / rival.All.P50)
			p99 = new(100 * plugin.All.P99 / rival.All.P99)
			hits = new(100 * *plugin.StockHits)
		}
		subject := fmt.Sprintf("latency at %g/s, upstream %s: prefetching", s.Rate, s.Upstream)
		targets = append(targets,
			newTarget(subject+" / recipe, median", lessThan, 1, " %", p50),
			newTarget(subject+" / recipe, p99", lessThan, 5, " %", p99),
			newTarget(subject+", from stock", atLeast, 99, " %", hits))
	}
	return targets
}

func (l *latency) charts() []chart {
	charts := make([]chart, 0, len(l.Scenarios))
	for _, s := range l.Scenarios {
		c := chart{
			name:   fmt.Sprintf("latency-%g-%dms", s.Rate, s.Upstream.Milliseconds()),
			title:  fmt.Sprintf("Latency in ms at %g requests/s, upstream %s: median and p99", s.Rate, s.Upstream),
			format: "%.1f",
			log:    true,
		}
		for i := range s.Contenders {
			// A logarithmic axis has no place for what is missing.
			if contender := &s.Contenders[i]; contender.KeptUp && contender.All.P50 > 0 {
				c.add(contender.Name, contender.All.P50, contender.All.P99)
			}
		}
		if len(c.labels) > 0 {
			charts = append(charts, c)
		}
	}
	return charts
}

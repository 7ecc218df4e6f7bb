// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

const (
	stockSize  = 1024 // the most that the plugin keeps
	stockBurst = 1000

	// stockLatency is how long the upstream takes. Filling the stock takes most of
	// the time, which a short run does not have.
	stockLatency      = 150 * time.Millisecond
	shortStockLatency = 10 * time.Millisecond
)

// stock is the result of the experiment of that name.
type stock struct {
	Connections int           `json:"connections"`
	Upstream    time.Duration `json:"upstream_latency_ns"`
	Burst       int           `json:"requests_in_a_burst"`
	Plugin      []float64     `json:"plugin_requests_per_second"`
	Static      []float64     `json:"respond_requests_per_second"`
	Hits        []float64     `json:"answers_from_stock"` // in each burst
}

func runStock(ctx context.Context, l *lab) (result, error) {
	found := &stock{Connections: l.settings.Connections, Upstream: stockLatency, Burst: stockBurst}
	if l.settings.Short {
		found.Upstream = shortStockLatency
	}
	l.say("stock: filling it")
	f, err := l.start(ctx, found.Upstream, stockSize, prefetching, static)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	loops := make(map[string]*closedLoop)
	for _, entrant := range f.entrants {
		loops[entrant.name] = newClosedLoop(entrant.address, l.settings.Connections)
		defer loops[entrant.name].close() //nolint:gocritic // both at the end
	}
	for burst := range l.settings.Bursts {
		if burst%10 == 0 {
			l.say("stock: burst %d of %d", burst+1, l.settings.Bursts)
		}
		for _, entrant := range f.round(burst) {
			if err := found.measure(ctx, entrant, f.entrants[0], loops[entrant.name]); err != nil {
				return nil, fmt.Errorf("%s: %w", entrant.name, err)
			}
		}
	}
	return found, nil
}

// measure sends a burst. Also before one to respond the plugin's stock is full,
// so that the plugin is at rest.
func (s *stock) measure(ctx context.Context, entrant, plugin *process, loop *closedLoop) error {
	before, err := awaitStock(ctx, plugin.admin, stockSize)
	if err != nil {
		return err
	}
	if err := loop.connect(); err != nil {
		return err
	}
	done, err := loop.runOnce(ctx, s.Burst)
	if err != nil {
		return err
	}
	if entrant != plugin {
		s.Static = append(s.Static, done.perSecond())
		return nil
	}
	after, err := readTokenCounts(ctx, plugin.admin)
	if err != nil {
		return err
	}
	hits := after.prefetched - before.prefetched
	if int(hits) != s.Burst {
		return fmt.Errorf("%.0f of %d tokens came from the stock, although it was full", hits, s.Burst)
	}
	s.Plugin = append(s.Plugin, done.perSecond())
	s.Hits = append(s.Hits, hits)
	return nil
}

func (s *stock) writeMarkdown(w *bytes.Buffer) {
	fmt.Fprintf(w, "Bursts of %d requests over %d connections to the plugin with `prefetch %d` and a full stock, and to `respond`, in turn.\n"+
		"The upstream takes %s, and every answer of the plugin came from the stock. Medians of %d bursts.\n\n",
		s.Burst, s.Connections, stockSize, s.Upstream, len(s.Plugin))
	writeTable(w, []string{"contender", "requests/s", "ratio to respond"}, [][]string{
		{prefetching, fmt.Sprintf("%.0f", median(s.Plugin)), fmt.Sprintf("%.2f", medianRatio(s.Plugin, s.Static))},
		{static, fmt.Sprintf("%.0f", median(s.Static)), "1.00"},
	})
}

func (s *stock) targets() []target {
	return []target{newTarget("stock: prefetched burst / respond", atLeast, 0.85, "", new(medianRatio(s.Plugin, s.Static)))}
}

func (s *stock) charts() []chart {
	c := chart{name: "stock", title: "Requests answered in a second while the stock lasts", format: "%.0f"}
	c.add(prefetching, median(s.Plugin))
	c.add(static, median(s.Static))
	return []chart{c}
}

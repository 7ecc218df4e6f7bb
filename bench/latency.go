// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// latencyPrefetch is the stock of the prefetching plugin in this experiment.
	latencyPrefetch = 32

	// keyRate and keyLatency are the scenario that has targets.
	keyRate    = 50
	keyLatency = 150 * time.Millisecond

	maxWarmUp = time.Second
)

// latency is the result of the experiment of that name.
type latency struct {
	Scenarios []scenario `json:"scenarios"`
}

// scenario is a rate of requests and a latency of the upstream.
type scenario struct {
	Rate       float64          `json:"requests_per_second"`
	Upstream   time.Duration    `json:"upstream_latency_ns"`
	Contenders []latencyFigures `json:"contenders"`
}

// latencyFigures are those of one contender in a scenario.
type latencyFigures struct {
	Name     string        `json:"name"`
	KeptUp   bool          `json:"kept_up"`
	Requests int           `json:"requests"`
	Failures int           `json:"failures"`
	Failure  string        `json:"first_failure,omitempty"`
	All      percentiles   `json:"latency_ms"`
	Rounds   []percentiles `json:"latency_ms_by_round"`

	// Of the load generator: how long after its time a request was sent.
	Lateness percentiles `json:"lateness_ms"`

	// The share of the tokens that came from the stock, of a plugin that has one.
	StockHits *float64 `json:"stock_hits,omitempty"`

	measured openLoopFigures
	counts   tokenCounts // handed out while it was measured
}

// percentiles are in milliseconds.
type percentiles struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func newPercentiles(values []float64) percentiles {
	return percentiles{percentile(values, 50), percentile(values, 90), percentile(values, 99), percentile(values, 100)}
}

func runLatency(ctx context.Context, l *lab) (result, error) {
	rates, upstreams := []float64{keyRate, 500}, []time.Duration{0, keyLatency}
	if l.settings.Short {
		rates, upstreams = []float64{keyRate}, []time.Duration{keyLatency}
	}
	found := new(latency)
	for _, upstream := range upstreams {
		for _, rate := range rates {
			s := scenario{Rate: rate, Upstream: upstream}
			if err := s.run(ctx, l); err != nil {
				return nil, fmt.Errorf("%g requests/s, upstream %s: %w", rate, upstream, err)
			}
			found.Scenarios = append(found.Scenarios, s)
		}
	}
	return found, nil
}

func (s *scenario) run(ctx context.Context, l *lab) error {
	f, err := l.start(ctx, s.Upstream, latencyPrefetch)
	if err != nil {
		return err
	}
	defer f.stop()
	for _, entrant := range f.entrants {
		s.Contenders = append(s.Contenders, latencyFigures{Name: entrant.name, KeptUp: true})
	}
	for round := range l.settings.Rounds {
		l.say("latency: %g requests/s, upstream %s, round %d of %d", s.Rate, s.Upstream, round+1, l.settings.Rounds)
		for _, entrant := range f.round(round) {
			figures := &s.Contenders[slices.Index(f.entrants, entrant)]
			if !figures.KeptUp {
				continue
			}
			// In a round all contenders meet the same arrivals.
			if err := figures.measure(ctx, l.settings, entrant, s.Rate, l.settings.Seed+uint64(round)); err != nil {
				return fmt.Errorf("%s: %w", entrant.name, err)
			}
			if !figures.KeptUp {
				// It would go on with what it has not answered, at the others' expense.
				entrant.stop()
			}
		}
	}
	for i := range s.Contenders {
		s.Contenders[i].summarize()
	}
	return nil
}

// measure runs one round of a contender.
func (f *latencyFigures) measure(ctx context.Context, s settings, server *process, rate float64, seed uint64) error {
	duration := s.LatencyDuration / time.Duration(s.Rounds)
	loop := newOpenLoop(server.address, rate)
	defer loop.close()
	// The arrivals of the warm-up are others than those that are measured.
	if _, err := loop.run(ctx, min(maxWarmUp, duration/2), ^seed); err != nil {
		return err
	}
	var before tokenCounts
	if f.Name == prefetching {
		var err error
		if before, err = awaitStock(ctx, server.admin, latencyPrefetch); err != nil {
			return err
		}
	}
	measured, err := loop.run(ctx, duration, seed)
	if err != nil {
		return err
	}
	if f.Name == prefetching {
		after, err := readTokenCounts(ctx, server.admin)
		if err != nil {
			return err
		}
		f.counts.minted += after.minted - before.minted
		f.counts.prefetched += after.prefetched - before.prefetched
	}
	f.KeptUp = measured.keptUp
	f.Rounds = append(f.Rounds, newPercentiles(measured.latencies))
	f.measured.add(measured)
	return nil
}

// summarize merges the rounds.
func (f *latencyFigures) summarize() {
	f.Requests, f.Failures, f.Failure = f.measured.requests, f.measured.failures, f.measured.failure
	f.All = newPercentiles(f.measured.latencies)
	f.Lateness = newPercentiles(f.measured.lateness)
	if f.Name == prefetching {
		f.StockHits = new(f.counts.hits(tokenCounts{}))
	}
}

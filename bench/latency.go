// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// The conditions that have targets.
const (
	keyRate    = 50
	keyLatency = 150 * time.Millisecond
)

// The quantities.
const (
	medianLatency  = "median ms"
	p90Latency     = "p90 ms"
	p99Latency     = "p99 ms"
	longestLatency = "longest ms"
	requests       = "requests"
	failed         = "failed"
	fromStock      = "from stock %" // of a plugin that has one

	// How long after its time the load generator sent a request.
	generatorDelay = "generator's p99 delay ms"
)

func runLatency(ctx context.Context, l *lab) (*result, error) {
	rates, upstreams := []float64{keyRate, 500}, []time.Duration{0, keyLatency}
	if l.settings.Short {
		rates, upstreams = []float64{keyRate}, []time.Duration{keyLatency}
	}
	found := new(result)
	for _, upstream := range upstreams {
		for _, rate := range rates {
			t, err := measureLatency(ctx, l, rate, upstream)
			if err != nil {
				return nil, fmt.Errorf("%g requests/s, upstream %s: %w", rate, upstream, err)
			}
			found.Tables = append(found.Tables, t)
			if rate == keyRate && upstream == keyLatency {
				found.Targets = latencyTargets(t)
			}
		}
	}
	return found, nil
}

func measureLatency(ctx context.Context, l *lab, rate float64, upstream time.Duration) (*table, error) {
	conditions := fmt.Sprintf("%g requests/s, the upstream takes %s", rate, upstream)
	l.say("%s", conditions)
	f, err := l.start(ctx, upstream, prefetchSize)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	duration := l.settings.LatencyDuration / time.Duration(l.settings.Rounds)
	t, err := l.takeTurns(ctx, f, l.settings.Rounds, func(round int, server *process, r *row) error {
		seed := uint64(round) //nolint:gosec // not negative
		// In a round all contenders meet the same arrivals.
		return stroll(ctx, duration, rate, seed, server, r)
	})
	if err != nil {
		return nil, err
	}
	t.Title = conditions
	t.quantities = []string{medianLatency, p90Latency, p99Latency, longestLatency, requests, failed, fromStock, generatorDelay}
	t.Chart = chart{
		Name:       fmt.Sprintf("latency-%g-%dms", rate, upstream.Milliseconds()),
		Title:      fmt.Sprintf("Latency in ms at %g requests/s, upstream %s: median and p99", rate, upstream),
		quantities: []string{medianLatency, p99Latency},
		log:        true,
	}
	return t, nil
}

// stroll sends a contender requests at a rate for a while.
func stroll(ctx context.Context, duration time.Duration, rate float64, seed uint64, server *process, r *row) error {
	loop := newOpenLoop(server.address, rate)
	defer loop.client.CloseIdleConnections()
	// The arrivals of the warm-up are others than those that are measured.
	if err := loop.run(ctx, min(time.Second, duration/2), ^seed, new(table).add("")); err != nil {
		return err
	}
	if server.name != prefetching {
		return loop.run(ctx, duration, seed, r)
	}
	before, err := awaitStock(ctx, server.admin, prefetchSize)
	if err != nil {
		return err
	}
	if err := loop.run(ctx, duration, seed, r); err != nil {
		return err
	}
	after, err := readMetrics(ctx, server.admin)
	if err != nil {
		return err
	}
	minted, prefetched := after[mintedCount]-before[mintedCount], after[prefetchedCount]-before[prefetchedCount]
	r.set(fromStock, 100*prefetched/(minted+prefetched))
	return nil
}

func latencyTargets(t *table) []target {
	conditions := " (" + t.Title + ")"
	return []target{
		{"prefetching / recipe, median" + conditions, atMost, 0.01, t.ratio(medianLatency, prefetching, recipe)},
		{"prefetching / recipe, p99" + conditions, atMost, 0.05, t.ratio(p99Latency, prefetching, recipe)},
		{"prefetching, from stock %" + conditions, atLeast, 99, t.find(prefetching).summary(fromStock)},
	}
}

// overloadAfter is how many seconds' worth of requests may wait for answers
// before a server is said not to keep up.
const overloadAfter = 2

// openLoop asks for tokens at a rate, whether or not earlier requests were
// answered.
type openLoop struct {
	url    string
	rate   float64 // in a second
	client *http.Client
}

func newOpenLoop(address string, rate float64) *openLoop {
	transport := &http.Transport{MaxIdleConnsPerHost: vegeta.DefaultConnections}
	return &openLoop{
		url:    "http://" + address + "/session",
		rate:   rate,
		client: &http.Client{Transport: transport, Timeout: 10 * time.Second},
	}
}

// run asks for tokens for a time, and takes down how that went in a row. If the
// server does not keep up, it ends early with an error.
func (l *openLoop) run(ctx context.Context, duration time.Duration, seed uint64, r *row) error {
	var answered atomic.Uint64
	var overloaded atomic.Bool
	pacer := &poisson{rate: l.rate, arrivals: arrivals(l.rate, duration, seed), giveUp: func(sent uint64) bool {
		if float64(sent-answered.Load()) > l.rate*overloadAfter {
			overloaded.Store(true)
		}
		return overloaded.Load()
	}}
	attacker := vegeta.NewAttacker(vegeta.Client(l.client))
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()

	var latencies, delays []float64
	targeter := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodPost, URL: l.url})
	began := time.Now()
	for result := range attacker.Attack(targeter, pacer, 0, "") {
		answered.Add(1)
		delays = append(delays, 1000*(result.Timestamp.Sub(began)-pacer.arrivals[result.Seq]).Seconds())
		err := checkAnswer(int(result.Code), result.Body)
		if result.Error != "" {
			err = errors.New(result.Error)
		}
		if err != nil {
			r.Note = "a request failed: " + err.Error()
			continue
		}
		latencies = append(latencies, 1000*result.Latency.Seconds())
	}
	failures := len(delays) - len(latencies)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if overloaded.Load() || len(latencies) == 0 {
		return fmt.Errorf("does not keep up: of %d requests %d failed", len(delays), failures)
	}
	for quantity, p := range map[string]float64{medianLatency: 50, p90Latency: 90, p99Latency: 99, longestLatency: 100} {
		r.set(quantity, percentile(latencies, p))
	}
	r.set(generatorDelay, percentile(delays, 99))
	r.set(requests, float64(len(delays)))
	r.set(failed, float64(failures))
	return nil
}

// arrivals are those of many clients, which know nothing of each other: the gaps
// between them are exponentially distributed. The same seed gives the same ones.
func arrivals(rate float64, duration time.Duration, seed uint64) (planned []time.Duration) {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // arrivals are no secret
	for next := time.Duration(0); ; planned = append(planned, next) {
		next += time.Duration(random.ExpFloat64() / rate * float64(time.Second))
		if next > duration {
			return planned
		}
	}
}

// poisson is a vegeta.Pacer of such arrivals.
type poisson struct {
	rate     float64         // in a second
	arrivals []time.Duration // since the beginning
	giveUp   func(sent uint64) bool
}

// Pace implements vegeta.Pacer.
func (p *poisson) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	if hits >= uint64(len(p.arrivals)) || p.giveUp(hits) {
		return 0, true
	}
	// Late is late: later arrivals do not move.
	return max(0, p.arrivals[hits]-elapsed), false
}

// Rate implements vegeta.Pacer.
func (p *poisson) Rate(time.Duration) float64 { return p.rate }

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// The quantities. The CPU times are for each request; they are missing where the
// system does not tell them.
const (
	perSecond    = "requests/s"
	serverCPU    = "server µs"
	upstreamCPU  = "upstream µs"
	generatorCPU = "load generator µs"
)

func runThroughput(ctx context.Context, l *lab) (*result, error) {
	return measureThroughput(ctx, l, "throughput", l.settings.Connections)
}

func runCrowd(ctx context.Context, l *lab) (*result, error) {
	return measureThroughput(ctx, l, "crowd", 4*l.settings.Connections)
}

func measureThroughput(ctx context.Context, l *lab, name string, connections int) (*result, error) {
	f, err := l.start(ctx, 0, prefetchSize)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	t, err := l.takeTurns(ctx, f, l.settings.Rounds, func(_ int, server *process, r *row) error {
		return rush(ctx, l.settings.Duration, connections, server, f.upstream, r)
	})
	if err != nil {
		return nil, err
	}
	t.quantities = []string{perSecond, serverCPU, upstreamCPU, generatorCPU}
	t.ratioOf = minting
	t.Chart = chart{Name: name, Title: "Requests answered in a second", quantities: t.quantities[:1]}
	return &result{Connections: connections, Tables: []*table{t}, Targets: []target{
		{"minting / floor", atLeast, 0.92, t.ratio(perSecond, minting, floor)},
		{"minting / floor, the server's CPU time", atMost, 1.12, t.ratio(serverCPU, minting, floor)},
		{"minting / net/http, pooled", atLeast, 0.76, t.ratio(perSecond, minting, goServerPooled)},
		{"minting / net/http", atLeast, 0.85, t.ratio(perSecond, minting, goServer)},
		{"minting / recipe", atLeast, 1.3, t.ratio(perSecond, minting, recipe)},
		{"minting / Express", atLeast, 7, t.ratio(perSecond, minting, expressApp)},
		{"minting / FastAPI", atLeast, 200, t.ratio(perSecond, minting, fastAPIApp)},
	}}, nil
}

// rush lets a contender answer as fast as it can for a while.
func rush(ctx context.Context, duration time.Duration, connections int, server, upstream *process, r *row) error {
	loop := newClosedLoop(server.address, connections)
	defer loop.close()
	if _, _, err := loop.runFor(ctx, duration/3); err != nil { // to warm up
		return err
	}
	processes := map[string]int{serverCPU: server.pid, upstreamCPU: upstream.pid, generatorCPU: os.Getpid()}
	before := make(map[string]time.Duration)
	for quantity, pid := range processes {
		if used, err := cpuTime(pid); err == nil {
			before[quantity] = used
		}
	}
	answered, rate, err := loop.runFor(ctx, duration)
	if err != nil {
		return err
	}
	r.set(perSecond, rate)
	for quantity, used := range before {
		after, err := cpuTime(processes[quantity])
		if err != nil {
			return err
		}
		r.set(quantity, float64((after-used).Microseconds())/float64(answered))
	}
	return nil
}

const (
	stockSize  = 1024 // the most that the plugin keeps
	stockBurst = 1000

	// stockLatency is how long the upstream takes. Filling the stock takes most of
	// the time, which a short run does not have.
	stockLatency      = 150 * time.Millisecond
	shortStockLatency = 10 * time.Millisecond
)

func runStock(ctx context.Context, l *lab) (*result, error) {
	latency := stockLatency
	if l.settings.Short {
		latency = shortStockLatency
	}
	f, err := l.start(ctx, latency, stockSize, prefetching, static, staticLogged)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	loops := make(map[*process]*closedLoop)
	for _, entrant := range f.entrants {
		loops[entrant] = newClosedLoop(entrant.address, l.settings.Connections)
		defer loops[entrant].close() //nolint:gocritic // all of them at the end
	}
	t, err := l.takeTurns(ctx, f, l.settings.Bursts, func(_ int, entrant *process, r *row) error {
		return burst(ctx, entrant, f.entrants[0], loops[entrant], r)
	})
	if err != nil {
		return nil, err
	}
	t.quantities = []string{perSecond}
	t.ratioOf = prefetching
	t.Chart = chart{Name: "stock", Title: "Requests answered in a second while the stock lasts", quantities: t.quantities}
	return &result{Connections: l.settings.Connections, Requests: stockBurst, Upstream: latency, Tables: []*table{t}, Targets: []target{
		{"prefetching / respond with an access log", atLeast, 0.95, t.ratio(perSecond, prefetching, staticLogged)},
	}}, nil
}

// burst sends a burst. Also before one to respond the plugin's stock is full, so
// that the plugin is at rest.
func burst(ctx context.Context, entrant, plugin *process, loop *closedLoop, r *row) error {
	before, err := awaitStock(ctx, plugin.admin, stockSize)
	if err != nil {
		return err
	}
	if err := loop.connect(); err != nil {
		return err
	}
	rate, err := loop.runOnce(ctx, stockBurst)
	if err != nil {
		return err
	}
	r.set(perSecond, rate)
	if entrant != plugin {
		return nil
	}
	after, err := readMetrics(ctx, plugin.admin)
	if err != nil {
		return err
	}
	if hits := after[prefetchedCount] - before[prefetchedCount]; hits != stockBurst {
		return fmt.Errorf("%.0f of %d tokens came from the stock, although it was full", hits, stockBurst)
	}
	return nil
}

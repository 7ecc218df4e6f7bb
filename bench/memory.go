// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// memoryLatency is how long the upstream takes. It stays below the share of its
// timeout after which the plugin would give up an attempt and try again.
const (
	memoryLatency      = 2500 * time.Millisecond
	shortMemoryLatency = time.Second
)

// The quantities, of a process without the loaded parts of its executable.
const (
	memoryBefore     = "MiB before"
	memoryMore       = "MiB more"
	memoryPerRequest = "KiB for each request"
)

// errNotAtOnce says that the first requests were answered before the last ones
// arrived, as happens on a busy machine.
var errNotAtOnce = errors.New("not all requests were in flight at once")

func runMemory(ctx context.Context, l *lab) (*result, error) {
	latency, inFlight := memoryLatency, l.settings.InFlight
	if l.settings.Short {
		latency = shortMemoryLatency
	}
	t := &table{
		quantities: []string{memoryMore, memoryPerRequest, memoryBefore},
		ratioOf:    minting,
		Chart:      chart{Name: "memory", Title: fmt.Sprintf("Memory of %d requests in flight, in MiB", inFlight), quantities: []string{memoryMore}},
	}
	for _, name := range []string{minting, floor, recipe, goServer} {
		t.add(name)
	}
	for round := range l.settings.Rounds {
		l.say("round %d of %d", round+1, l.settings.Rounds)
		for _, r := range t.Rows {
			err := errNotAtOnce
			for attempt := 0; attempt < 3 && errors.Is(err, errNotAtOnce); attempt++ {
				err = fill(ctx, l, latency, inFlight, r)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.Name, err)
			}
		}
	}
	return &result{Requests: inFlight, Upstream: latency, Tables: []*table{t}, Targets: []target{
		{"minting / recipe", atMost, 0.9, t.ratio(memoryMore, minting, recipe)},
	}}, nil
}

// fill asks a new process for many tokens at once, and looks at its memory while
// all of the requests wait for the upstream.
func fill(ctx context.Context, l *lab, latency time.Duration, inFlight int, r *row) error {
	f, err := l.start(ctx, latency, 0, r.Name)
	if err != nil {
		return err
	}
	defer f.stop()
	server := f.entrants[0]
	before, err := residentMemory(server.pid)
	if err != nil {
		return fmt.Errorf("reading its memory, which needs Linux: %w", err)
	}
	loop := newClosedLoop(server.address, inFlight)
	defer loop.close()
	// Connecting takes a while, in which the first answers would come.
	if err := loop.connect(); err != nil {
		return err
	}
	finished := make(chan error, 1)
	go func() {
		_, err := loop.runOnce(ctx, inFlight)
		finished <- err
	}()
	var samples []float64
	for {
		select {
		case err := <-finished:
			if err != nil {
				return err
			}
			if len(samples) == 0 {
				return errNotAtOnce
			}
			const kibibyte = 1 << 10
			more := median(samples) - before
			r.set(memoryBefore, before/kibibyte/kibibyte)
			r.set(memoryMore, more/kibibyte/kibibyte)
			r.set(memoryPerRequest, more/kibibyte/float64(inFlight))
			return nil
		case <-time.After(50 * time.Millisecond):
		}
		_, waiting, err := fetch(ctx, http.MethodGet, "http://"+f.upstream.address+inFlightPath)
		if err != nil {
			return err
		}
		if string(waiting) == strconv.Itoa(inFlight) {
			used, err := residentMemory(server.pid)
			if err != nil {
				return err
			}
			samples = append(samples, used)
		}
	}
}

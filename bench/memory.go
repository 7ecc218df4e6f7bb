// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// memoryLatency is how long the upstream takes. It stays below the share of its
// timeout after which the plugin would give up an attempt and try again.
const (
	memoryLatency      = 2500 * time.Millisecond
	shortMemoryLatency = time.Second
)

const kibibyte = 1 << 10

// memoryAttempts is how often a measurement is tried in which the first requests
// are answered before the last ones arrive, as happens on a busy machine.
const memoryAttempts = 3

var errNotAtOnce = errors.New("not all requests were in flight at once")

// memory is the result of the experiment of that name.
type memory struct {
	InFlight   int             `json:"requests_in_flight"`
	Upstream   time.Duration   `json:"upstream_latency_ns"`
	Contenders []memoryFigures `json:"contenders"`
}

// memoryFigures are those of one contender, in bytes, with a value for each
// repetition.
type memoryFigures struct {
	Name   string    `json:"name"`
	Before []float64 `json:"bytes_before"`
	Growth []float64 `json:"bytes_more_at_plateau"`
}

func runMemory(ctx context.Context, l *lab) (result, error) {
	found := &memory{InFlight: l.settings.InFlight, Upstream: memoryLatency}
	if l.settings.Short {
		found.Upstream = shortMemoryLatency
	}
	for _, name := range []string{minting, recipe, goServer} {
		found.Contenders = append(found.Contenders, memoryFigures{Name: name})
	}
	for repetition := range l.settings.Repetitions {
		l.say("memory: repetition %d of %d", repetition+1, l.settings.Repetitions)
		for i := range found.Contenders {
			figures := &found.Contenders[i]
			err := errNotAtOnce
			for attempt := 0; attempt < memoryAttempts && errors.Is(err, errNotAtOnce); attempt++ {
				err = figures.measure(ctx, l, found.Upstream, found.InFlight)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", figures.Name, err)
			}
		}
	}
	return found, nil
}

// measure asks a new process for many tokens at once, and looks at its memory
// while all of the requests wait for the upstream.
func (f *memoryFigures) measure(ctx context.Context, l *lab, latency time.Duration, inFlight int) error {
	field, err := l.start(ctx, latency, 0, f.Name)
	if err != nil {
		return err
	}
	defer field.stop()
	server := field.entrants[0]
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
	plateau, err := f.watch(ctx, server, field.upstream, inFlight)
	if loopErr := <-finished; loopErr != nil {
		return loopErr
	}
	if err != nil {
		return err
	}
	f.Before = append(f.Before, float64(before))
	f.Growth = append(f.Growth, plateau-float64(before))
	return nil
}

// watch returns the memory of the server while all requests are in flight.
func (f *memoryFigures) watch(ctx context.Context, server, upstream *process, inFlight int) (float64, error) {
	var samples []float64
	most := 0
	deadline := time.Now().Add(3 * memoryLatency)
	for time.Now().Before(deadline) {
		waiting, err := countInFlight(ctx, upstream)
		if err != nil {
			return 0, err
		}
		most = max(most, waiting)
		if waiting == inFlight {
			used, err := residentMemory(server.pid)
			if err != nil {
				return 0, err
			}
			samples = append(samples, float64(used))
		} else if len(samples) > 0 {
			return median(samples), nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	if len(samples) > 0 {
		return 0, errors.New("the upstream does not answer")
	}
	return 0, fmt.Errorf("%w: at most %d of %d", errNotAtOnce, most, inFlight)
}

// countInFlight asks the upstream how many requests it is letting wait.
func countInFlight(ctx context.Context, upstream *process) (int, error) {
	status, body, err := fetch(ctx, http.MethodGet, "http://"+upstream.address+inFlightPath)
	if err != nil {
		return 0, err
	}
	if status != http.StatusOK {
		return 0, fmt.Errorf("the upstream answered %d", status)
	}
	return strconv.Atoi(strings.TrimSpace(string(body)))
}

// growth returns the figures of a contender for each repetition.
func (m *memory) growth(name string) []float64 {
	for _, c := range m.Contenders {
		if c.Name == name {
			return c.Growth
		}
	}
	return nil
}

func (m *memory) writeMarkdown(w *bytes.Buffer) {
	fmt.Fprintf(w, "Memory of a new process, its executable left out, before and while %d requests wait for the upstream, which takes %s.\n"+
		"Medians of %d repetitions.\n\n", m.InFlight, m.Upstream, len(m.Contenders[0].Growth))
	rows := make([][]string, len(m.Contenders))
	for i, c := range m.Contenders {
		rows[i] = []string{c.Name, formatMebibytes(median(c.Before)), formatMebibytes(median(c.Growth)),
			fmt.Sprintf("%.1f KiB", median(c.Growth)/kibibyte/float64(m.InFlight)),
			fmt.Sprintf("%.2f", medianRatio(c.Growth, m.growth(recipe)))}
	}
	writeTable(w, []string{"contender", "before", "more", "for each request", "ratio to recipe"}, rows)
}

func formatMebibytes(size float64) string {
	return fmt.Sprintf("%.1f MiB", size/kibibyte/kibibyte)
}

func (m *memory) targets() []target {
	subject := fmt.Sprintf("memory of %d requests in flight: minting / recipe", m.InFlight)
	return []target{newTarget(subject, atMost, 1, "", new(medianRatio(m.growth(minting), m.growth(recipe))))}
}

func (m *memory) charts() []chart {
	c := chart{name: "memory", title: fmt.Sprintf("Memory of %d requests in flight, in MiB", m.InFlight), format: "%.1f"}
	for _, contender := range m.Contenders {
		c.add(contender.Name, median(contender.Growth)/kibibyte/kibibyte)
	}
	return []chart{c}
}

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

// throughputPrefetch is the stock of the prefetching plugin in this experiment,
// where it cannot last.
const throughputPrefetch = 32

// crowdFactor is how many times as many connections crowd has.
const crowdFactor = 4

// throughput is the result of the experiments throughput and crowd.
type throughput struct {
	Name        string              `json:"name"`
	Connections int                 `json:"connections"`
	Contenders  []throughputFigures `json:"contenders"`
	Failed      []string            `json:"failed,omitempty"` // contenders, and why
}

// throughputFigures are those of one contender, with a value for each round. CPU
// times are in microseconds for each request; they are missing where the system
// does not tell them.
type throughputFigures struct {
	Name         string    `json:"name"`
	PerSecond    []float64 `json:"requests_per_second"`
	ServerCPU    []float64 `json:"server_cpu_us,omitempty"`
	UpstreamCPU  []float64 `json:"upstream_cpu_us,omitempty"`
	GeneratorCPU []float64 `json:"generator_cpu_us,omitempty"`
}

func runThroughput(ctx context.Context, l *lab) (result, error) {
	return measureThroughput(ctx, l, "throughput", l.settings.Connections)
}

func runCrowd(ctx context.Context, l *lab) (result, error) {
	return measureThroughput(ctx, l, "crowd", crowdFactor*l.settings.Connections)
}

func measureThroughput(ctx context.Context, l *lab, name string, connections int) (result, error) {
	f, err := l.start(ctx, 0, throughputPrefetch)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	found := &throughput{Name: name, Connections: connections}
	byName := make(map[string]*throughputFigures)
	for _, entrant := range f.entrants {
		byName[entrant.name] = &throughputFigures{Name: entrant.name}
	}
	for round := range l.settings.Rounds {
		l.say("%s: round %d of %d", name, round+1, l.settings.Rounds)
		for _, entrant := range f.round(round) {
			figures := byName[entrant.name]
			if figures == nil {
				continue // it has failed
			}
			err := figures.measure(ctx, l.settings.Duration, connections, entrant, f.upstream)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				found.Failed = append(found.Failed, fmt.Sprintf("%s: %v", entrant.name, err))
				delete(byName, entrant.name)
				// It would go on with what it has not answered, at the others' expense.
				entrant.stop()
			}
		}
	}
	for _, entrant := range f.entrants {
		if figures := byName[entrant.name]; figures != nil {
			found.Contenders = append(found.Contenders, *figures)
		}
	}
	if len(found.Contenders) == 0 {
		return nil, errors.New(strings.Join(found.Failed, "; "))
	}
	return found, nil
}

// measure lets a contender answer as fast as it can for a while.
func (f *throughputFigures) measure(ctx context.Context, duration time.Duration, connections int, server, upstream *process) error {
	loop := newClosedLoop(server.address, connections)
	defer loop.close()
	if _, err := loop.runFor(ctx, duration/3); err != nil { // to warm up
		return err
	}
	pids := []int{server.pid, upstream.pid, os.Getpid()}
	before, known := cpuTimes(pids)
	done, err := loop.runFor(ctx, duration)
	if err != nil {
		return err
	}
	f.PerSecond = append(f.PerSecond, done.perSecond())
	after, stillKnown := cpuTimes(pids)
	if !known || !stillKnown {
		return nil
	}
	for i, values := range []*[]float64{&f.ServerCPU, &f.UpstreamCPU, &f.GeneratorCPU} {
		*values = append(*values, float64((after[i]-before[i]).Microseconds())/float64(done.requests))
	}
	return nil
}

// cpuTimes returns the CPU times of processes, if the system tells them.
func cpuTimes(pids []int) (times []time.Duration, ok bool) {
	for _, pid := range pids {
		used, err := cpuTime(pid)
		if err != nil {
			return nil, false
		}
		times = append(times, used)
	}
	return times, true
}

// find returns the figures of a contender, nil if it was left out.
func (t *throughput) find(name string) *throughputFigures {
	for i := range t.Contenders {
		if t.Contenders[i].Name == name {
			return &t.Contenders[i]
		}
	}
	return nil
}

// ratio returns how many times as many requests as another contender the
// minting plugin answers, nil if one of them was left out.
func (t *throughput) ratio(other string) *float64 {
	plugin, rival := t.find(minting), t.find(other)
	if plugin == nil || rival == nil {
		return nil
	}
	return new(medianRatio(plugin.PerSecond, rival.PerSecond))
}

func (t *throughput) writeMarkdown(w *bytes.Buffer) {
	fmt.Fprintf(w, "%d connections, on each of which a request follows as soon as the last one was answered; the upstream answers at\n"+
		"once. Medians of %d rounds. The ratio says how many times as many requests the minting plugin answers in the same round.\n"+
		"The last columns say how much CPU time each process uses for a request.\n\n", t.Connections, len(t.Contenders[0].PerSecond))
	rows := make([][]string, len(t.Contenders))
	for i, c := range t.Contenders {
		rows[i] = []string{c.Name, fmt.Sprintf("%.0f", median(c.PerSecond)), formatRatio(t.ratio(c.Name)),
			formatCPU(c.ServerCPU), formatCPU(c.UpstreamCPU), formatCPU(c.GeneratorCPU)}
	}
	writeTable(w, []string{"contender", "requests/s", "ratio", "server", "upstream", "load generator"}, rows)
	for _, line := range t.Failed {
		fmt.Fprintf(w, "\nFailed under this load: %s\n", line)
	}
}

func formatRatio(ratio *float64) string {
	if ratio == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", *ratio)
}

func formatCPU(microseconds []float64) string {
	if len(microseconds) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f µs", median(microseconds))
}

func (t *throughput) targets() []target {
	return []target{
		newTarget(t.Name+": minting / net/http", atLeast, 0.85, "", t.ratio(goServer)),
		newTarget(t.Name+": minting / net/http, pooled", atLeast, 0.85, "", t.ratio(goServerPooled)),
		newTarget(t.Name+": minting / recipe", atLeast, 1.8, "", t.ratio(recipe)),
		newTarget(t.Name+": minting / Express", atLeast, 7, "", t.ratio(expressApp)),
		newTarget(t.Name+": minting / FastAPI", atLeast, 200, "", t.ratio(fastAPIApp)),
	}
}

func (t *throughput) charts() []chart {
	c := chart{name: t.Name, title: "Requests answered in a second", format: "%.0f"}
	for _, contender := range t.Contenders {
		c.add(contender.Name, median(contender.PerSecond))
	}
	return []chart{c}
}

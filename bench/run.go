// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// experiment measures one property of the contenders.
type experiment struct {
	name    string
	subject string
	slow    bool // left out of a short run that does not name it
	run     func(ctx context.Context, l *lab) (*result, error)
}

// experiments are all that there are, in the order in which they run.
var experiments = []experiment{
	{name: "throughput", subject: "tokens in a second when asked without pause", run: runThroughput},
	{name: "crowd", subject: "the same over more connections than reverse_proxy keeps to an upstream", run: runCrowd},
	{name: "stock", subject: "tokens in a second while prefetched ones last", run: runStock},
	{name: "latency", subject: "waiting times under requests that arrive at a rate", run: runLatency},
	{name: "memory", subject: "memory of requests that wait for the upstream", run: runMemory},
	{name: "binary", subject: "size of Caddy with and without the plugin", slow: true, run: runBinary},
}

// settings say how long and how often to measure.
type settings struct {
	Short           bool          `json:"short"`
	Rounds          int           `json:"rounds"`
	Duration        time.Duration `json:"duration_ns"`
	Connections     int           `json:"connections"`
	Bursts          int           `json:"bursts"`
	LatencyDuration time.Duration `json:"latency_duration_ns"`
	InFlight        int           `json:"in_flight"`

	results string
}

// shortSettings are the defaults of a short run.
var shortSettings = []string{
	"-rounds=1", "-duration=200ms", "-bursts=2", "-latency-duration=400ms",
	"-in-flight=100", "-results=results/short",
}

// runLimit bounds a whole run.
const runLimit = 2 * time.Hour

// parseSettings reads the command line, and returns the experiments that it
// names, too.
func parseSettings(args []string, usage io.Writer) (s settings, chosen []experiment, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.BoolVar(&s.Short, "short", false, "try everything out in seconds; the figures mean little")
	flags.IntVar(&s.Rounds, "rounds", 5, "`number` of rounds in which each contender has its turn, except in stock")
	flags.DurationVar(&s.Duration, "duration", 3*time.Second, "throughput, crowd: how long a contender runs in a round")
	flags.IntVar(&s.Connections, "connections", 32, "throughput, stock: `number` of connections; crowd has four times as many")
	flags.IntVar(&s.Bursts, "bursts", 40, "stock: `number` of bursts")
	flags.DurationVar(&s.LatencyDuration, "latency-duration", time.Minute, "latency: how long a contender runs at each rate, in all rounds together")
	flags.IntVar(&s.InFlight, "in-flight", 1000, "memory: `number` of requests at once")
	flags.StringVar(&s.results, "results", "results", "`directory` for the results")
	flags.Usage = func() {
		_, _ = fmt.Fprintf(usage, "usage: go -C bench run . [flags] [experiment...]\n\nExperiments, by default all of them:\n")
		for _, e := range experiments {
			_, _ = fmt.Fprintf(usage, "  %-12s%s\n", e.name, e.subject)
		}
		_, _ = fmt.Fprintln(usage, "\nFlags:")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return s, nil, err
	}
	if s.Short {
		// What is given counts more than the defaults of a short run.
		if err := flags.Parse(slices.Concat(shortSettings, args)); err != nil {
			return s, nil, err
		}
	}
	if min(s.Rounds, s.Connections, s.Bursts, s.InFlight) < 1 {
		return s, nil, errors.New("with a number below 1 there is nothing to measure")
	}
	if min(s.Duration, s.LatencyDuration) < 10*time.Millisecond || max(s.Duration, s.LatencyDuration) > runLimit {
		return s, nil, fmt.Errorf("a duration is not from 10ms to %s", runLimit)
	}
	chosen, err = chooseExperiments(flags.Args(), s.Short)
	return s, chosen, err
}

// chooseExperiments returns the named experiments, or without names all, of
// which a short run leaves the slow ones out.
func chooseExperiments(names []string, short bool) (chosen []experiment, err error) {
	if len(names) == 0 {
		return slices.DeleteFunc(slices.Clone(experiments), func(e experiment) bool { return short && e.slow }), nil
	}
	for _, name := range names {
		i := slices.IndexFunc(experiments, func(e experiment) bool { return e.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no experiment %q; -help lists them", name)
		}
		chosen = append(chosen, experiments[i])
	}
	return chosen, nil
}

// benchmark runs the experiments that the arguments name, prints the report and
// saves it. What it is doing meanwhile goes to progress.
func benchmark(ctx context.Context, args []string, stdout, progress io.Writer) (err error) {
	s, chosen, err := parseSettings(args, progress)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	if _, err := os.Stat("caddyfiles"); err != nil {
		return fmt.Errorf("not in the benchmark's directory: %w; use go -C bench run", err)
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	l := &lab{settings: s, dir: dir, progress: progress}
	r := &report{Settings: s}
	var versions []string
	l.contenders, versions, r.LeftOut = findContenders(ctx)
	r.Environment = newEnvironment(ctx, versions)
	for _, e := range chosen {
		l.say("%s: %s", e.name, e.subject)
		found, err := e.run(ctx, l)
		if ctx.Err() != nil {
			return fmt.Errorf("stopped in %s: %w", e.name, context.Cause(ctx))
		}
		if err != nil { // which does not keep the others from running
			l.say("%s failed: %s", e.name, err)
			first, _, _ := strings.Cut(err.Error(), "\n")
			r.Failed = append(r.Failed, e.name+": "+first)
			continue
		}
		found.Name, found.Subject = e.name, e.subject
		r.Results = append(r.Results, found)
	}
	if err := r.save(s.results, stdout); err != nil {
		return fmt.Errorf("saving the results: %w", err)
	}
	if len(r.Failed) > 0 {
		return fmt.Errorf("%d of %d experiments failed", len(r.Failed), len(chosen))
	}
	return nil
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// settings say how long and how often to measure.
type settings struct {
	Short           bool          `json:"short"`
	Rounds          int           `json:"rounds"`
	Duration        time.Duration `json:"duration_ns"`
	Connections     int           `json:"connections"`
	Bursts          int           `json:"bursts"`
	LatencyDuration time.Duration `json:"latency_duration_ns"`
	InFlight        int           `json:"in_flight"`
	Repetitions     int           `json:"repetitions"`
	Seed            uint64        `json:"seed"`

	python  string
	results string
}

// shortSettings are the defaults of a short run.
var shortSettings = map[string]string{
	"rounds":           "1",
	"duration":         "200ms",
	"bursts":           "2",
	"latency-duration": "400ms",
	"in-flight":        "100",
	"repetitions":      "1",
	"results":          "results/short",
}

// parseSettings reads the command line, and returns the experiments that it
// names, too.
func parseSettings(args []string, usage io.Writer) (settings, []experiment, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.BoolVar(&s.Short, "short", false, "try everything out in seconds; the figures mean little")
	flags.IntVar(&s.Rounds, "rounds", 5, "throughput, crowd, latency: `number` of rounds in which each contender runs once")
	flags.DurationVar(&s.Duration, "duration", 3*time.Second, "throughput, crowd: how long a contender runs in a round")
	flags.IntVar(&s.Connections, "connections", 32, "throughput, stock: `number` of connections; crowd has four times as many")
	flags.IntVar(&s.Bursts, "bursts", 40, "stock: `number` of bursts")
	flags.DurationVar(&s.LatencyDuration, "latency-duration", time.Minute, "latency: how long a contender runs at each rate, in all rounds together")
	flags.IntVar(&s.InFlight, "in-flight", 1000, "memory: `number` of requests at once")
	flags.IntVar(&s.Repetitions, "repetitions", 5, "memory: `number` of repetitions")
	flags.Uint64Var(&s.Seed, "seed", 1, "latency: `seed` of the arrivals")
	flags.StringVar(&s.python, "python", "", "Python `interpreter` of FastAPI (default the first of python3 and /usr/bin/python3 that has it)")
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
		if err := shorten(flags); err != nil {
			return s, nil, err
		}
	}
	chosen, err := chooseExperiments(flags.Args(), s.Short)
	return s, chosen, errors.Join(err, s.check())
}

// shorten sets the flags that were not given to the defaults of a short run.
func shorten(flags *flag.FlagSet) error {
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range shortSettings {
		if given[name] {
			continue
		}
		if err := flags.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// check refuses settings with which nothing would be measured, or forever.
func (s *settings) check() error {
	for name, n := range map[string]int{
		"rounds": s.Rounds, "connections": s.Connections, "bursts": s.Bursts,
		"in-flight": s.InFlight, "repetitions": s.Repetitions,
	} {
		if n < 1 || n > 10_000 {
			return fmt.Errorf("-%s: %d is not from 1 to 10000", name, n)
		}
	}
	for name, d := range map[string]time.Duration{"duration": s.Duration, "latency-duration": s.LatencyDuration} {
		if d < 10*time.Millisecond || d > time.Hour {
			return fmt.Errorf("-%s: %s is not from 10ms to 1h", name, d)
		}
	}
	return nil
}

// pythons returns the interpreters to try.
func (s *settings) pythons() []string {
	if s.python != "" {
		return []string{s.python}
	}
	// The first in PATH may be one that knows nothing of the system's packages.
	return []string{"python3", "/usr/bin/python3"}
}

// chooseExperiments returns the named experiments, or without names all, of
// which a short run leaves the slow ones out.
func chooseExperiments(names []string, short bool) ([]experiment, error) {
	var chosen []experiment
	for _, e := range experiments {
		leftOut := short && e.slow
		if slices.Contains(names, e.name) || len(names) == 0 && !leftOut {
			chosen = append(chosen, e)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(experiments, func(e experiment) bool { return e.name == name }) {
			return nil, fmt.Errorf("there is no experiment %q; there are %s", name, strings.Join(experimentNames(), ", "))
		}
	}
	return chosen, nil
}

func experimentNames() []string {
	names := make([]string, len(experiments))
	for i, e := range experiments {
		names[i] = e.name
	}
	return names
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

const soakConfig = "caddyfiles/soak.Caddyfile"

// soakSettings say how long and how hard to soak.
type soakSettings struct {
	duration time.Duration
	rate     int
	reload   time.Duration
	sample   time.Duration
	results  string
}

// parseSoakSettings reads the command line that follows "soak".
func parseSoakSettings(args []string, usage io.Writer) (soakSettings, error) {
	var s soakSettings
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.DurationVar(&s.duration, "duration", 20*time.Minute, "how long to soak")
	flags.IntVar(&s.rate, "rate", 300, "steady requests in a second")
	flags.DurationVar(&s.reload, "reload", 5*time.Second, "how often to reload")
	flags.DurationVar(&s.sample, "sample", 10*time.Second, "how often to take a sample")
	flags.StringVar(&s.results, "results", "", "`file` for the samples, as CSV")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.rate < steadyClients || s.rate > 100*steadyClients:
		return s, fmt.Errorf("-rate: %d is not from %d to %d", s.rate, steadyClients, 100*steadyClients)
	case s.reload < 100*time.Millisecond || s.sample < s.reload:
		return s, errors.New("-reload must be 100ms or more, and -sample no shorter than -reload")
	case s.duration < minSamples*s.sample:
		return s, fmt.Errorf("-duration: %s is too short for %d samples", s.duration, minSamples)
	}
	return s, nil
}

// runSoak keeps a Caddy busy for a long time, and fails if it grows or errs.
func runSoak(ctx context.Context, args []string, stdout, progress io.Writer) (err error) {
	settings, err := parseSoakSettings(args, progress)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, stop, err := startSoaked(ctx, dir)
	if err != nil {
		return err
	}
	defer stop()

	load := newSoakLoad(server.address, settings.rate)
	loadCtx, stopLoad := context.WithTimeout(ctx, settings.duration)
	defer stopLoad()
	finished := make(chan struct{})
	go func() {
		load.run(loadCtx)
		close(finished)
	}()
	samples, reloads, err := watchSoaked(loadCtx, server, settings, load, progress)
	stopLoad()
	<-finished
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, server.logTail())
	}
	if settings.results != "" {
		if err := saveSamples(settings.results, samples); err != nil {
			return err
		}
	}
	faults := append(compareThirds(samples), load.faults(reloads)...)
	if log, err := os.ReadFile(server.log); err != nil || bytes.Contains(log, []byte("panic")) {
		faults = append(faults, fmt.Sprintf("Caddy's log has a panic (%v)", err))
	}
	if _, err := io.WriteString(stdout, soakReport(settings, samples, load, reloads)); err != nil {
		return err
	}
	if len(faults) > 0 {
		return fmt.Errorf("the soak failed:\n%s%s", strings.Join(faults, "\n"), server.logTail())
	}
	return nil
}

// startSoaked starts the Caddy to soak, and its upstream.
func startSoaked(ctx context.Context, dir string) (server *process, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("finding this program, to start it again as a server: %w", err)
	}
	up, err := startProcess(ctx, "the sandbox", dir, []string{self, "sandbox"}, "LATENCY=20ms")
	if err != nil {
		return nil, nil, err
	}
	server, err = startProcess(ctx, "Caddy", dir,
		[]string{self, "caddy", "run", "--adapter", "caddyfile", "--config", soakConfig}, "UPSTREAM="+up.address)
	if err != nil {
		up.stop()
		return nil, nil, err
	}
	return server, func() {
		server.stop()
		up.stop()
	}, nil
}

// watchSoaked reloads the config and takes samples until ctx ends. A sample is
// taken just before a reload, when the last one is long over.
func watchSoaked(ctx context.Context, server *process, s soakSettings, load *soakLoad, progress io.Writer) (samples []sample, reloads int, err error) {
	config, err := os.ReadFile(soakConfig)
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	due := began.Add(s.sample)
	ticker := time.NewTicker(s.reload)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return samples, reloads, nil
		case now := <-ticker.C:
			if !now.Before(due) {
				taken, err := takeSample(ctx, server.admin)
				if ctx.Err() != nil {
					return samples, reloads, nil
				}
				if err != nil {
					return samples, reloads, fmt.Errorf("after %s: %w", now.Sub(began).Round(time.Second), err)
				}
				taken.at = now.Sub(began)
				samples = append(samples, taken)
				due = due.Add(s.sample)
				_, _ = fmt.Fprintf(progress, "%s, %s\n", taken, load)
			}
			if err := reload(ctx, server.admin, config); err != nil && ctx.Err() == nil {
				return samples, reloads, err
			}
			reloads++
		}
	}
}

// reload has Caddy load its config again, although it is the same.
func reload(ctx context.Context, admin string, config []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+admin+"/load", bytes.NewReader(config))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Header.Set("Cache-Control", "must-revalidate")
	resp, err := httpClient.Do(req)
	if err != nil {
		return fmt.Errorf("reloading: %w", err)
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("reloading: got %d %s (%v)", resp.StatusCode, answer, err) //nolint:errorlint // may be nil
	}
	return nil
}

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
	"sync"
	"time"
)

const (
	soakConfig = "caddyfiles/soak.Caddyfile"

	// maxLogged is how many bytes of log the failures may cause in a second: a line
	// for each kind of failure and handler.
	maxLogged = 6 << 10
)

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
	if flags.NArg() > 0 || s.rate < steadyClients || s.rate > 100*steadyClients ||
		s.reload < 100*time.Millisecond || s.sample < s.reload || s.duration <= minSamples*s.sample {
		return s, fmt.Errorf("a soak needs a rate from %d to %d, 100ms or more between reloads, no less between samples, time for more than %d samples, and nothing else",
			steadyClients, 100*steadyClients, minSamples)
	}
	return s, nil
}

// runSoak keeps a Caddy busy for a long time, and fails if it grows or errs.
func runSoak(ctx context.Context, args []string, stdout, progress io.Writer) (err error) {
	settings, err := parseSoakSettings(args, progress)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	up, err := startProcess(ctx, "the sandbox", dir, self("sandbox"))
	if err != nil {
		return err
	}
	defer up.stop()
	server, err := startProcess(ctx, "Caddy", dir,
		self("caddy", "run", "--adapter", "caddyfile", "--config", soakConfig), "UPSTREAM="+up.address)
	if err != nil {
		return err
	}
	defer server.stop()

	load := newSoakLoad(server.address, settings.rate)
	loadCtx, stopLoad := context.WithTimeout(ctx, settings.duration)
	defer stopLoad()
	var running sync.WaitGroup
	running.Go(func() { load.run(loadCtx) })
	found, err := watchSoaked(loadCtx, server, settings, load, progress)
	stopLoad()
	running.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, server.logTail())
	}
	if settings.results != "" {
		if err := found.save(settings.results); err != nil {
			return err
		}
	}
	faults := append(found.grown(), load.faults()...)
	log, err := os.ReadFile(server.log)
	if err != nil || bytes.Contains(log, []byte("panic")) {
		faults = append(faults, fmt.Sprintf("Caddy's log has a panic (%v)", err))
	}
	logged := len(log) / int(settings.duration.Seconds())
	if logged > maxLogged {
		faults = append(faults, fmt.Sprintf("%d bytes a second were logged", logged))
	}
	_, err = fmt.Fprintf(stdout, "Soaked for %s at %d requests a second: %s. %d bytes a second were logged.\n\n%s",
		settings.duration, settings.rate, load, logged, found.markdown())
	if err != nil {
		return err
	}
	if len(faults) > 0 {
		return fmt.Errorf("the soak failed:\n%s%s", strings.Join(faults, "\n"), server.logTail())
	}
	return nil
}

// watchSoaked reloads the config and takes samples until ctx ends. A sample is
// taken just before a reload, when the last one is long over.
func watchSoaked(ctx context.Context, server *process, s soakSettings, load *soakLoad, progress io.Writer) (found *samples, err error) {
	config, err := os.ReadFile(soakConfig)
	if err != nil {
		return nil, err
	}
	found = &samples{values: make(map[string][]float64)}
	began := time.Now()
	due := s.sample
	ticker := time.NewTicker(s.reload)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return found, nil
		case now := <-ticker.C:
			moment := now.Sub(began)
			if moment >= due {
				due += s.sample
				if err = found.take(ctx, server.admin, moment); err == nil {
					_, _ = fmt.Fprintf(progress, "%s, %s\n", found, load)
				}
			}
			if err == nil {
				err = reload(ctx, server.admin, config)
			}
			if ctx.Err() != nil {
				return found, nil
			}
			if err != nil {
				return nil, fmt.Errorf("after %s: %w", moment.Round(time.Second), err)
			}
			load.count(reloads)
		}
	}
}

// reload has Caddy load its config again, although it is the same.
func reload(ctx context.Context, admin string, config []byte) error {
	header := http.Header{"Content-Type": {"text/caddyfile"}, "Cache-Control": {"must-revalidate"}}
	status, answer, err := send(ctx, httpClient, http.MethodPost, "http://"+admin+"/load", header, bytes.NewReader(config))
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("reloading: got %d %s (%v)", status, answer, err) //nolint:errorlint // may be nil
	}
	return nil
}

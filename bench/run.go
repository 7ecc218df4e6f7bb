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
	"os"
	"strings"
	"time"
)

// runLimit bounds a whole run.
const runLimit = 2 * time.Hour

// benchmark runs the experiments that the arguments name, prints the report and
// saves it. What it is doing meanwhile goes to progress.
func benchmark(ctx context.Context, args []string, stdout, progress io.Writer) (err error) {
	settings, chosen, err := parseSettings(args, progress)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
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

	found := &report{Settings: settings, Results: make(map[string]result)}
	contenders, versions, leftOut, err := findContenders(ctx, settings)
	if err != nil {
		return err
	}
	found.LeftOut = leftOut
	found.Environment = newEnvironment(ctx, versions)
	l := &lab{settings: settings, dir: dir, progress: progress, contenders: contenders}
	for _, line := range leftOut {
		l.say("left out: %s", line)
	}
	if err := found.runAll(ctx, l, chosen); err != nil {
		return err
	}
	var page bytes.Buffer
	found.writeMarkdown(&page)
	if _, err := stdout.Write(page.Bytes()); err != nil {
		return fmt.Errorf("printing the report: %w", err)
	}
	if err := found.save(settings.results, page.Bytes()); err != nil {
		return fmt.Errorf("saving the results: %w", err)
	}
	if len(found.Failed) > 0 {
		return fmt.Errorf("%d of %d experiments failed", len(found.Failed), len(chosen))
	}
	return nil
}

// runAll runs the experiments. One that fails does not keep the others from
// running, but the end of ctx does.
func (r *report) runAll(ctx context.Context, l *lab, chosen []experiment) error {
	for _, e := range chosen {
		found, err := e.run(ctx, l)
		if ctx.Err() != nil {
			return fmt.Errorf("stopped in %s: %w", e.name, context.Cause(ctx))
		}
		if err != nil {
			l.say("%s failed: %s", e.name, err)
			first, _, _ := strings.Cut(err.Error(), "\n")
			r.Failed = append(r.Failed, e.name+": "+first)
			continue
		}
		r.add(e.name, found)
	}
	return nil
}

// findContenders returns those that can run here, the versions of those in other
// languages, and a line for each that cannot.
func findContenders(ctx context.Context, s settings) (contenders []contender, versions, leftOut []string, err error) {
	contenders, err = goContenders()
	if err != nil {
		return nil, nil, nil, err
	}
	for _, other := range []struct {
		name string
		find func() (contender, []string, error)
	}{
		{expressApp, func() (contender, []string, error) { return expressContender(ctx) }},
		{fastAPIApp, func() (contender, []string, error) { return fastAPIContender(ctx, s.pythons()) }},
	} {
		c, v, err := other.find()
		if err != nil {
			leftOut = append(leftOut, other.name+": "+strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		contenders, versions = append(contenders, c), append(versions, v...)
	}
	return contenders, versions, leftOut, nil
}

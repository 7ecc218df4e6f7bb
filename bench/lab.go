// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// lab is what the experiments of a run share.
type lab struct {
	settings   settings
	dir        string // for what the servers write, removed at the end
	progress   io.Writer
	contenders []contender
}

// say tells whoever waits what is going on.
func (l *lab) say(format string, args ...any) {
	_, _ = fmt.Fprintf(l.progress, format+"\n", args...)
}

// field is an upstream and contenders that call it.
type field struct {
	upstream *process
	entrants []*process // in the order of the lab's contenders
}

// start starts an upstream and those of the named contenders that can run here,
// all of them if none is named.
func (l *lab) start(ctx context.Context, latency time.Duration, prefetch int, names ...string) (*field, error) {
	upstream, err := startUpstream(ctx, l.dir, latency)
	if err != nil {
		return nil, err
	}
	chosen := slices.Clone(l.contenders)
	if len(names) > 0 {
		chosen = slices.DeleteFunc(chosen, func(c contender) bool { return !slices.Contains(names, c.name) })
	}
	entrants := make([]*process, len(chosen))
	var group errgroup.Group
	for i, contender := range chosen {
		group.Go(func() (err error) {
			entrants[i], err = contender.start(ctx, l.dir, upstream, prefetch)
			return err
		})
	}
	err = group.Wait()
	f := &field{upstream: upstream, entrants: slices.DeleteFunc(entrants, func(p *process) bool { return p == nil })}
	if err != nil {
		f.stop()
		return nil, err
	}
	return f, nil
}

// stop ends all processes.
func (f *field) stop() {
	for _, entrant := range f.entrants {
		entrant.cancel()
	}
	for _, entrant := range f.entrants {
		entrant.stop()
	}
	f.upstream.stop()
}

// round returns the entrants in the order of a round. Each round begins with
// another one, so that none always follows the same neighbour's traces.
func (f *field) round(number int) []*process {
	first := number % len(f.entrants)
	return slices.Concat(f.entrants[first:], f.entrants[:first])
}

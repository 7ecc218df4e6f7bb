// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// prefetchSize is how many tokens the prefetching plugin keeps, unless an
// experiment is about that.
const prefetchSize = 32

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
func (l *lab) start(ctx context.Context, latency time.Duration, prefetch int, names ...string) (f *field, err error) {
	f = new(field)
	if f.upstream, err = startUpstream(ctx, l.dir, latency); err != nil {
		return nil, err
	}
	for _, c := range l.contenders {
		if len(names) > 0 && !slices.Contains(names, c.name) {
			continue
		}
		entrant, err := c.start(ctx, l.dir, f.upstream, prefetch)
		if err != nil {
			f.stop()
			return nil, err
		}
		f.entrants = append(f.entrants, entrant)
	}
	return f, nil
}

// stop ends all processes.
func (f *field) stop() {
	for _, p := range append(f.entrants, f.upstream) {
		p.stop()
	}
}

// takeTurns lets each contender have its turn in each round, and takes down what
// a turn has found in the contender's row. Each round begins with another one, so
// that none always follows the same neighbour's traces. A contender whose turn
// fails has no more of them; if it is the plugin, that is an error.
func (l *lab) takeTurns(ctx context.Context, f *field, rounds int, turn func(round int, entrant *process, r *row) error) (*table, error) {
	t := new(table)
	for _, entrant := range f.entrants {
		t.add(entrant.name)
	}
	for round := range rounds {
		l.say("round %d of %d", round+1, rounds)
		for i := range f.entrants {
			i = (round + i) % len(f.entrants)
			entrant, r := f.entrants[i], t.Rows[i]
			if r.Figures == nil {
				continue
			}
			err := turn(round, entrant, r)
			switch {
			case ctx.Err() != nil:
				return nil, context.Cause(ctx)
			case err != nil && (entrant.name == minting || entrant.name == prefetching):
				return nil, fmt.Errorf("%s: %w", entrant.name, err)
			case err != nil:
				r.Figures, r.Note = nil, err.Error()
				// It would go on with what it has not answered, at the others' expense.
				entrant.stop()
			}
		}
	}
	return t, nil
}

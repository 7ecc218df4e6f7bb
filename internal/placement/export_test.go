// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import "github.com/caddyserver/caddy/v2"

// Look is Of, but panics where that says nothing.
func Look(ctx caddy.Context, handler Handler) (place Place, warnings []string) {
	w := newWalk(ctx, handler)
	place = w.place()
	if !w.chain.complete {
		return place, nil
	}
	return place, w.warnings()
}

// Prediction is what is expected of a request.
type Prediction int

const (
	Unsure  Prediction = iota
	Arrives            // at the handler
	Ends               // elsewhere
)

// Predict follows a request that somebody may make, to a handler that is being
// provisioned with ctx.
func Predict(ctx caddy.Context, handler Handler, method, host, path string) Prediction {
	w := newWalk(ctx, handler)
	if !w.chain.complete {
		return Unsure
	}
	switch o := w.follow(method, host, path); {
	case o.end == unsure || o.end == reached && (o.assumed || o.doubtful):
		return Unsure
	case o.end == reached:
		return Arrives
	}
	return Ends
}

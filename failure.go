// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/xai"
)

// Failures that the handler finds itself; those of a call to xAI are in
// its package. Their texts are shown to strangers, also inside JSON strings: they are
// fixed and have no quotes.
var (
	errMethod            = errors.New("method not allowed")
	errRateLimited       = errors.New("too many requests")
	errLimitsUnavailable = errors.New("rate limits are unavailable")
	errNoAPIKey          = errors.New("the server has no usable API key")
	errClientGone        = errors.New("the client went away")
)

// statusClientClosedRequest is what Caddy answers to a client that went away:
// nobody reads it, but logs and metrics do.
const statusClientClosedRequest = 499

// failures lists all ways in which a request can end without a token.
var failures = map[error]struct {
	reason string // the metric's label
	status int
}{
	errCrossOrigin:       {"cross_origin", http.StatusForbidden},
	errSpeculative:       {"speculative", http.StatusForbidden},
	errMethod:            {"method", http.StatusMethodNotAllowed},
	errRateLimited:       {"rate_limit", http.StatusTooManyRequests},
	errLimitsUnavailable: {"limit_store", http.StatusServiceUnavailable},
	errNoAPIKey:          {"api_key", http.StatusInternalServerError},
	errClientGone:        {"client_gone", statusClientClosedRequest},

	xai.ErrAuth:        {"upstream_auth", http.StatusBadGateway},
	xai.ErrRefused:     {"upstream_refused", http.StatusBadGateway},
	xai.ErrRedirect:    {"upstream_redirect", http.StatusBadGateway},
	xai.ErrFailed:      {"upstream_error", http.StatusBadGateway},
	xai.ErrUnreachable: {"upstream_unreachable", http.StatusBadGateway},
	xai.ErrUnusable:    {"upstream_unusable", http.StatusBadGateway},
	xai.ErrRateLimited: {"upstream_rate_limit", http.StatusServiceUnavailable},
	xai.ErrTimeout:     {"timeout", http.StatusGatewayTimeout},
}

// repetitions bounds how often the same failure is logged, to once a second.
type repetitions struct {
	mu    sync.Mutex
	known map[error]*repetition
}

type repetition struct {
	logged     time.Time
	suppressed int // since then
}

// add takes in a failure. It is either repeated, or to be logged, with how many
// were suppressed before it.
func (r *repetitions) add(cause error) (suppressed int, isRepeated bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	before := r.known[cause]
	if before != nil && now.Sub(before.logged) < time.Second {
		before.suppressed++
		return 0, true
	}
	if r.known == nil {
		r.known = make(map[error]*repetition)
	}
	r.known[cause] = &repetition{logged: now}
	if before == nil {
		return 0, false
	}
	return before.suppressed, false
}

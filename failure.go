// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"errors"
	"net/http"
)

// Failures that the handler finds itself; those of a call to xAI are beside the
// client. Their texts are shown to strangers, also inside JSON strings: they are
// fixed and have no quotes.
var (
	errMethod      = errors.New("method not allowed")
	errRateLimited = errors.New("too many requests")
	errNoAPIKey    = errors.New("the server has no usable API key")
)

// statusClientClosedRequest is what Caddy answers to a client that went away:
// nobody reads it, but logs and metrics do.
const statusClientClosedRequest = 499

// failures lists all ways in which a request can end without a token.
var failures = map[error]struct {
	reason string // the metric's label
	status int
}{
	errCrossOrigin: {"cross_origin", http.StatusForbidden},
	errMethod:      {"method", http.StatusMethodNotAllowed},
	errRateLimited: {"rate_limit", http.StatusTooManyRequests},
	errNoAPIKey:    {"api_key", http.StatusInternalServerError},

	errCanceled:            {"client_gone", statusClientClosedRequest},
	errUpstreamAuth:        {"upstream_auth", http.StatusBadGateway},
	errUpstreamRefused:     {"upstream_refused", http.StatusBadGateway},
	errUpstreamRedirect:    {"upstream_redirect", http.StatusBadGateway},
	errUpstreamFailed:      {"upstream_error", http.StatusBadGateway},
	errUpstreamUnreachable: {"upstream_unreachable", http.StatusBadGateway},
	errUpstreamUnusable:    {"upstream_unusable", http.StatusBadGateway},
	errUpstreamRateLimited: {"upstream_rate_limit", http.StatusServiceUnavailable},
	errTimeout:             {"timeout", http.StatusGatewayTimeout},
}

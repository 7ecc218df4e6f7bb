// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
)

const (
	defaultRateLimitCount  = 10
	defaultRateLimitWindow = time.Minute

	// siteKey is the key of a limit that all clients share.
	siteKey = "site"
)

// RateLimit is a ceiling: a client never gets more than Count tokens in any span of
// Window. The window slides over the times at which tokens were asked for.
//
// What was used already counts on after a reload, as long as the hosts and paths
// that lead to the handler stay the same, and the window and the key; another count
// holds for it, too.
type RateLimit struct {
	// How many tokens, from 1 to 1,000,000. Required.
	Count int `json:"count,omitempty"`

	// The span, more than zero and at most 31 days. Required.
	Window caddy.Duration `json:"window,omitempty"`

	// A placeholder expression that tells clients apart, for example
	// `{http.request.header.Remote-User}`. Where it expands to nothing, the
	// client's address counts. `site` makes the limit one for all clients together,
	// a ceiling on what a site can spend. Default: the authenticated user,
	// `{http.auth.user.id}`, and without one the client's address,
	// `{http.vars.client_ip}`. An IPv6 address, also as the value of a key, counts
	// by its /64.
	Key string `json:"key,omitempty"`
}

// RateLimits are limits that all hold.
type RateLimits []RateLimit

// UnmarshalJSON says what to write in place of what a Caddyfile has.
func (l *RateLimits) UnmarshalJSON(data []byte) error {
	err := caddy.StrictUnmarshalJSON(data, (*[]RateLimit)(l))
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("rate_limits: %w; write [{\"count\": 10, \"window\": \"1m\"}], or \"unlimited\": true for none", err)
	}
	if err != nil {
		return fmt.Errorf("rate_limits: %w", err)
	}
	return nil
}

// limit returns the limit without what Caddy has to do with it.
func (l RateLimit) limit() limit.Limit {
	return limit.Limit{Name: l.Key, Count: l.Count, Window: time.Duration(l.Window)}
}

func (l RateLimit) validate() error {
	if err := l.limit().Validate(); err != nil {
		return fmt.Errorf("rate_limit: %w", err)
	}
	if window := time.Duration(l.Window); areNanoseconds(window) {
		return fmt.Errorf("rate_limit: the window %s is too short%s", window, aboutNanoseconds(window))
	}
	if err := checkPlaceholders("rate_limit", l.Key); err != nil {
		return err
	}
	if l.Key != "" && l.Key != siteKey && caddy.NewEmptyReplacer().ReplaceAll(l.Key, "") == l.Key {
		return fmt.Errorf("rate_limit: the key %q has no placeholder, so it is the same for all clients; write %s if that is meant", l.Key, siteKey)
	}
	return nil
}

// checkRateLimits checks the limits, each and together.
func (h *Handler) checkRateLimits() error {
	if h.Unlimited && len(h.RateLimits) > 0 {
		return errors.New("rate_limit: it is off, and there is a limit, too")
	}
	if h.Unlimited && len(h.LimitStoreRaw) > 0 {
		return errors.New("limit_store: there is nothing to count with rate_limit off")
	}
	for i, l := range h.RateLimits {
		if err := l.validate(); err != nil {
			return err
		}
		if slices.ContainsFunc(h.RateLimits[:i], func(other RateLimit) bool {
			return other.Window == l.Window && other.Key == l.Key
		}) {
			return fmt.Errorf("rate_limit: there are two limits with the window %s and the same key", time.Duration(l.Window))
		}
	}
	return nil
}

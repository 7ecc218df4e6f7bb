// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
)

// failureLimit bounds the requests of a client that had xAI called for nothing:
// they cost nothing of its limits.
var failureLimit = limit.Limit{Name: "failures", Count: 60, Window: time.Minute}

// failuresLabel stands for failureLimit where limits go by their place in the
// config.
const failuresLabel = "failures"

// storeRetryAfter is when a client shall ask again while the store does not answer.
const storeRetryAfter = time.Second

// counts holds what was counted for handlers, by the hosts and paths that lead to
// them. It is kept from one config to the next: a limit that a reload ended would be
// none.
var counts = caddy.NewUsagePool()

// count is what was counted for a handler. A config only ever counts on: one that is
// refused after it was provisioned has changed nothing.
type count struct {
	tokens   *limit.Memory
	failures *limit.Memory // by themselves, so that they have no tokens forgotten
}

// Destruct does nothing: no config has the handler any more.
func (*count) Destruct() error { return nil }

// limiter holds the requests of a handler to its limits.
type limiter struct {
	scope    string
	limits   []RateLimit
	store    limit.Store
	failures *limit.Memory

	// sawAddress is told of each request that counts for an address, because its
	// client has no other name.
	sawAddress func(*http.Request)

	// release is called when the config is unloaded, and has an effect once. Requests
	// that are still being served are counted as usual.
	release func() error
}

// newLimiter returns the limiter of a handler, which must be released. The store is
// nil if this process counts.
func newLimiter(scope string, limits []RateLimit, store limit.Store) (*limiter, error) {
	loaded, _, err := counts.LoadOrNew(scope, func() (caddy.Destructor, error) {
		return &count{limit.NewMemory(), limit.NewMemory()}, nil
	})
	if err != nil {
		return nil, err
	}
	counted := loaded.(*count)
	if store == nil {
		store = counted.tokens
	}
	for i := range limits {
		metrics.limited.WithLabelValues(strconv.Itoa(i + 1))
	}
	metrics.limited.WithLabelValues(failuresLabel)
	release := sync.OnceValue(func() error {
		_, err := counts.Delete(scope)
		return err
	})
	return &limiter{scope: scope, limits: limits, store: store, failures: counted.failures, release: release}, nil
}

// loadLimitStore returns the store of the config, nil if there is none.
func (h *Handler) loadLimitStore(ctx caddy.Context) (limit.Store, error) {
	if len(h.LimitStoreRaw) == 0 {
		return nil, nil
	}
	module, err := ctx.LoadModule(h, "LimitStoreRaw")
	if err != nil {
		return nil, fmt.Errorf("limit_store: %w", err)
	}
	store, ok := module.(limit.Store)
	if !ok {
		return nil, fmt.Errorf("limit_store: module %T cannot count limits", module)
	}
	return store, nil
}

// limitedError says that a client is over limits.
type limitedError struct {
	wait   time.Duration
	limits []string // their places in the config
}

func (*limitedError) Error() string { return errRateLimited.Error() }

// MarshalLogObject names the limits in a log: the answer does not.
func (e *limitedError) MarshalLogObject(encoder zapcore.ObjectEncoder) error {
	encoder.AddDuration("retry_after", e.wait)
	return encoder.AddReflected("limits", e.limits)
}

// unavailableError says why limits cannot be counted.
type unavailableError struct{ cause error }

func (*unavailableError) Error() string { return errLimitsUnavailable.Error() }

// MarshalLogObject says in a log what the store said.
func (e *unavailableError) MarshalLogObject(encoder zapcore.ObjectEncoder) error {
	encoder.AddString("limit_store_error", e.cause.Error())
	return nil
}

// admission is what a request took of its limits.
type admission struct {
	limiter *limiter
	taken   limit.Taken
	failure limit.Claim
}

// admit takes a token of each limit, or of none if one of them has none left.
func (l *limiter) admit(r *http.Request, repl *caddy.Replacer) (*admission, error) {
	client, _ := limitedClient(r, repl, "")
	failure := limit.Claim{Limit: failureLimit, Client: client}
	if wait := l.failures.Wait(l.scope, failure); wait > 0 {
		metrics.limited.WithLabelValues(failuresLabel).Inc()
		return nil, &limitedError{wait, []string{failuresLabel}}
	}
	claims := make([]limit.Claim, len(l.limits))
	for i, rateLimit := range l.limits {
		client, byAddress := limitedClient(r, repl, rateLimit.Key)
		if byAddress {
			l.sawAddress(r)
		}
		claims[i] = limit.Claim{Limit: rateLimit.limit(), Client: client}
	}
	taken, err := l.store.Take(r.Context(), l.scope, claims)
	if err == nil {
		return &admission{l, taken, failure}, nil
	}
	refusal, ok := errors.AsType[*limit.RefusedError](err)
	if !ok {
		return nil, &unavailableError{err}
	}
	limited := &limitedError{wait: refusal.Wait}
	for _, i := range refusal.Limits {
		place := strconv.Itoa(i + 1)
		metrics.limited.WithLabelValues(place).Inc()
		limited.limits = append(limited.limits, place)
	}
	return nil, limited
}

// fail gives back what was taken, because there is no token, and counts the failure
// if xAI was called.
func (a *admission) fail(called bool) {
	a.taken.GiveBack()
	if called {
		// Over the limit it is not counted any more, which is why nobody is admitted.
		_, _ = a.limiter.failures.Take(nil, a.limiter.scope, []limit.Claim{a.failure}) //nolint:staticcheck // it needs no context
	}
}

// limitedClient tells whose limit a request counts for. A user who is called like
// somebody's address shares no limit with it.
func limitedClient(r *http.Request, repl *caddy.Replacer, key string) (client string, byAddress bool) {
	var id string
	switch key {
	case siteKey:
		return "", false
	case "":
		id, _ = repl.GetString("http.auth.user.id")
	default:
		id = repl.ReplaceAll(key, "")
	}
	if id == "" {
		return "address " + network(clientIP(r)), true
	}
	return "key " + network(id), false
}

// network makes of an address what counts as one client: an IPv4 address, or a
// whole IPv6 /64, which is what a user is handed. Other text stays as it is.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}

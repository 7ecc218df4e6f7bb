// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/caddyserver/caddy/v2"
)

const (
	defaultRateLimitCount  = 10
	defaultRateLimitWindow = time.Minute

	// maxClients bounds what is remembered to about 15 MB for each handler.
	maxClients = 1 << 16
)

// RateLimit is a token bucket for each client: a client gets up to Count tokens
// at once, and what it used is refilled evenly over Window. A client over its
// limit gets 429 with `Retry-After`. Only requests that end with a token count.
//
// The buckets belong to one handler of one Caddy instance, and a reload starts
// afresh; the 65536 most recently seen clients are remembered. For one limit over a fleet, disable this
// one and put a distributed limiter in front.
type RateLimit struct {
	// How many tokens a client gets at once. At least 1. Required, unless the
	// limit is disabled.
	Count int `json:"count,omitempty"`

	// The time in which an empty bucket becomes full again. More than zero.
	// Required, unless the limit is disabled.
	Window caddy.Duration `json:"window,omitempty"`

	// A placeholder expression that tells clients apart, for example
	// `{http.request.header.Remote-User}`. Where it expands to nothing, the
	// client's address counts. Default: the authenticated user,
	// `{http.auth.user.id}`, and without one the client's address,
	// `{http.vars.client_ip}`. An IPv6 address, also as the value of a key, counts
	// by its /64.
	Key string `json:"key,omitempty"`

	// Whether to turn the limit off, to leave it to something in front. The
	// other fields must then be absent.
	Disabled bool `json:"disabled,omitempty"`
}

// limitedClient identifies a client, by its address where it has no other name.
// A user who is called like somebody's address shares no bucket with it.
type limitedClient struct {
	byAddress bool
	id        string
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

// rateLimiter holds a token bucket for each client it remembers.
type rateLimiter struct {
	limit rate.Limit
	burst int

	// The buckets are kept by a hash of the client, so that long names, which a
	// stranger may be free to choose, take no memory.
	seed    maphash.Seed
	buckets *lru.Cache[uint64, *rate.Limiter]
}

// newRateLimiter returns the limiter that config describes, nil for a disabled
// one.
func newRateLimiter(config *RateLimit) (*rateLimiter, error) {
	if config == nil {
		return nil, nil
	}
	if config.Disabled {
		if *config != (RateLimit{Disabled: true}) {
			return nil, errors.New("rate_limit: a disabled limit takes no count, window or key")
		}
		return nil, nil
	}
	if config.Count < 1 {
		return nil, fmt.Errorf("rate_limit: the count %d is out of range; it must be 1 or more", config.Count)
	}
	window := time.Duration(config.Window)
	if window <= 0 {
		return nil, fmt.Errorf("rate_limit: the window %s is out of range; it must be more than zero", window)
	}
	if err := checkPlaceholders("rate_limit", config.Key); err != nil {
		return nil, err
	}
	buckets, err := lru.New[uint64, *rate.Limiter](maxClients)
	if err != nil {
		return nil, err
	}
	return &rateLimiter{
		limit:   rate.Limit(float64(config.Count) / window.Seconds()),
		burst:   config.Count,
		seed:    maphash.MakeSeed(),
		buckets: buckets,
	}, nil
}

// take takes a token from the client's bucket and returns a function that puts
// it back, or, if the bucket is empty, how long it takes until there is one.
func (l *rateLimiter) take(client limitedClient) (putBack func(), wait time.Duration) {
	bucket := l.bucket(client)
	if !bucket.Allow() {
		missing := 1 - bucket.Tokens()
		return nil, time.Duration(math.Ceil(missing / float64(l.limit) * float64(time.Second)))
	}
	return func() {
		// Taking a negative number puts tokens back, never more than the burst.
		// A Reservation's Cancel does nothing once its time has come.
		bucket.AllowN(time.Now(), -1)
	}, 0
}

func (l *rateLimiter) bucket(client limitedClient) *rate.Limiter {
	key := maphash.Comparable(l.seed, client)
	if bucket, ok := l.buckets.Get(key); ok {
		return bucket
	}
	bucket := rate.NewLimiter(l.limit, l.burst)
	if earlier, ok, _ := l.buckets.PeekOrAdd(key, bucket); ok {
		return earlier
	}
	return bucket
}

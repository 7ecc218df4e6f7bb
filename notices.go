// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"net/http"
	"net/netip"
	"sync"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	// maxOrigins bounds how many refused origins the owner of a config is told of,
	// and maxOriginLength how much of each: strangers make them up.
	maxOrigins      = 20
	maxOriginLength = 256
)

// configNotices has the notices of each config that is loaded, by its metrics
// registry, which no other config has.
var configNotices = caddy.NewUsagePool()

// notices are what the owner of a config has to know and only requests can show.
// Each is told once.
type notices struct {
	mu      sync.Mutex
	origins map[string]bool
	proxy   sync.Once
}

// Destruct implements caddy.Destructor.
func (*notices) Destruct() error { return nil }

// useNotices returns the notices of the config that ctx belongs to, to be released
// by releaseNotices.
func useNotices(ctx caddy.Context) *notices {
	shared, _, _ := configNotices.LoadOrNew(ctx.GetMetricsRegistry(), func() (caddy.Destructor, error) {
		return &notices{origins: make(map[string]bool)}, nil
	})
	return shared.(*notices)
}

func releaseNotices(ctx caddy.Context) {
	_, _ = configNotices.Delete(ctx.GetMetricsRegistry()) // nothing of a notice can fail to end
}

// refusedOrigin tells of a page that may belong to the owner.
func (n *notices) refusedOrigin(logger *zap.Logger, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return // a page that browsers do not name
	}
	origin = origin[:min(len(origin), maxOriginLength)]
	n.mu.Lock()
	isNew := !n.origins[origin] && len(n.origins) < maxOrigins
	if isNew {
		n.origins[origin] = true
	}
	n.mu.Unlock()
	if isNew {
		logger.Warn("a page of another origin asked for a token and was refused; if it is yours, add it to trusted_origins",
			zap.String("origin", origin))
	}
}

// addressOfProxy tells that a limit counts the address of a proxy for those of all
// its clients.
func (n *notices) addressOfProxy(logger *zap.Logger, r *http.Request) {
	if r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == "" {
		return
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		return
	}
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if ip := address.Addr().Unmap(); err != nil || !ip.IsPrivate() && !ip.IsLoopback() {
		return
	}
	n.proxy.Do(func() {
		logger.Warn("requests come through a proxy that Caddy does not trust, so that all its clients share one rate limit; "+
			"name it in the global option servers > trusted_proxies, with trusted_proxies_strict",
			zap.String("proxy", address.Addr().String()))
	})
}

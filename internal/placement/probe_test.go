// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(probe{})
	caddy.RegisterModule(guest{})
	caddy.RegisterModule(rateLimit{})
	httpcaddyfile.RegisterHandlerDirective("rate_limit", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		for h.Next() || h.NextBlock(0) || h.NextBlock(1) || h.NextBlock(2) {
			continue
		}
		return new(rateLimit), nil
	})
	httpcaddyfile.RegisterHandlerDirective("placement_probe", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return new(probe), nil
	})
	httpcaddyfile.RegisterDirectiveOrder("placement_probe", httpcaddyfile.Before, "respond")
}

// probe is a handler that a test looks at the place of, and that says so when a
// request reaches it.
type probe struct {
	Name string `json:"name,omitempty"`

	PassThru bool `json:"pass_thru,omitempty"`
}

// onProvision is what a test does while a probe is provisioned. Tests with probes
// do not run in parallel: there is one Caddy in a process.
var onProvision func(ctx caddy.Context, p *probe)

const reachedHeader = "X-Reached-Probe"

func (probe) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.placement_probe", New: func() caddy.Module { return new(probe) }}
}

func (p *probe) Provision(ctx caddy.Context) error {
	onProvision(ctx, p)
	return nil
}

func (p *probe) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	w.Header().Add(reachedHeader, "probe"+p.Name)
	if p.PassThru {
		return next.ServeHTTP(w, r)
	}
	return nil
}

func (p *probe) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

// runProbes runs a config of the http app, with do for each probe, and returns its
// server.
func runProbes(t testing.TB, httpApp string, do func(ctx caddy.Context, p *probe)) *caddyhttp.Server {
	t.Helper()
	var server *caddyhttp.Server
	onProvision = func(ctx caddy.Context, p *probe) {
		server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
		do(ctx, p)
	}
	persist := false
	err := caddy.Run(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &persist}},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output": "discard"}`)}}}},
		AppsRaw: caddy.ModuleMap{"http": json.RawMessage(httpApp)},
	})
	if err != nil {
		t.Logf("not loaded: %v", err)
		return nil
	}
	return server
}

// reaches sends a request through a server, and reports whether a probe of that name
// got it.
func reaches(t *testing.T, server *caddyhttp.Server, method, host, path, name string, header http.Header) (reached bool) {
	req := httptest.NewRequestWithContext(t.Context(), method, "http://"+host+path, nil)
	req.Header = header
	recorder := httptest.NewRecorder()
	defer func() {
		// abort panics.
		_ = recover()
		reached = slices.Contains(recorder.Header()[reachedHeader], "probe"+name)
	}()
	server.ServeHTTP(recorder, req)
	return reached
}

// guest is a handler of which nothing is known.
type guest struct{}

func (guest) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.placement_guest", New: func() caddy.Module { return new(guest) }}
}

func (*guest) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

// rateLimit stands in for github.com/mholt/caddy-ratelimit, which is not compiled in
// here: its name is known to pass requests on.
type rateLimit struct{ guest }

func (rateLimit) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.rate_limit", New: func() caddy.Module { return new(rateLimit) }}
}

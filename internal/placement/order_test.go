// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestOrderOfProvisioning pins what this package relies on: if it fails with a new
// Caddy, placement.Of says nothing anymore, or the wrong things.
func TestOrderOfProvisioning(t *testing.T) {
	const respond = `{"match": [{"path": ["/x"]}], "handle": [{"handler": "static_response"}]}`
	const config = `{"servers": {
		"other": {"listen": ["localhost:0"], "routes": [` + respond + `]},
		"site": {
			"listen": ["127.0.0.1:0"],
			"routes": [
				` + respond + `,
				{"match": [{"host": ["a.example"]}], "handle": [
					{"handler": "vars", "root": "/"},
					{"handler": "subroute", "routes": [
						` + respond + `,
						{"match": [{"path": ["/session"]}], "handle": [{"handler": "vars"}, {"handler": "placement_probe"}, {"handler": "static_response"}]},
						` + respond + `
					]},
					{"handler": "static_response"}
				]},
				` + respond + `
			],
			"errors": {"routes": [` + respond + `]},
			"named_routes": {"named": ` + respond + `}
		}
	}}`
	t.Cleanup(func() { _ = caddy.Stop() })
	provisioned := 0
	server := runProbes(t, config, func(ctx caddy.Context, p *probe) {
		provisioned++
		server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
		if !ok || len(server.Routes) != 3 || len(server.NamedRoutes) != 1 {
			t.Fatalf("the context does not say which server it is: %v", server)
		}
		modules := ctx.Modules()
		if len(modules) != 3 {
			t.Fatalf("got %d modules on the way, want the app, a subroute and the handler", len(modules))
		}
		if _, ok := modules[0].(*caddyhttp.App); !ok {
			t.Errorf("the first module is %T", modules[0])
		}
		subroute, ok := modules[1].(*caddyhttp.Subroute)
		if !ok || modules[2] != caddy.Module(p) {
			t.Fatalf("the modules are %T and %T", modules[1], modules[2])
		}
		expectStages(t, "server", server.Routes, 3)
		expectStages(t, "subroute", subroute.Routes, 3)
		for name, routes := range map[string]caddyhttp.RouteList{"errors": server.Errors.Routes, "named": {*server.NamedRoutes["named"]}} {
			if len(routes[0].HandlersRaw) != 1 || len(routes[0].MatcherSetsRaw) != 1 {
				t.Errorf("the %s routes are provisioned already", name)
			}
		}
	})
	if server == nil || provisioned != 1 {
		t.Fatalf("the handler was provisioned %d times", provisioned)
	}
}

// expectStages has the first of three routes live, the second with its config, which
// is being loaded, and the third not begun, but the matchers of all live.
func expectStages(t *testing.T, name string, routes caddyhttp.RouteList, current int) {
	t.Helper()
	for i := range routes {
		route := &routes[i]
		if len(route.MatcherSets) != 1 || len(route.MatcherSetsRaw) != 0 {
			t.Errorf("%s: the matchers of route %d are not live", name, i)
		}
		raw, live := len(route.HandlersRaw), len(route.Handlers)
		switch {
		case i == 0 && (raw != 0 || live != 1):
			t.Errorf("%s: the route before has %d raw and %d live handlers, want it live", name, raw, live)
		case i == 1 && (raw != current || live != 0):
			t.Errorf("%s: the current route has %d raw and %d live handlers, want it raw", name, raw, live)
		case i == 2 && (raw != 1 || live != 0):
			t.Errorf("%s: the route after has %d raw and %d live handlers, want it raw", name, raw, live)
		}
	}
}

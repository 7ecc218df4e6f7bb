// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/placement"
)

// TestPlace has the hosts and paths that lead to a handler.
func TestPlace(t *testing.T) {
	tests := []struct{ name, site, place string }{
		{"a path", "http://a.test:0 {\nplacement_probe /session\n}", "a.test /session"},
		{"another port", "http://a.test:8080 {\nplacement_probe /session\n}", "a.test /session"},
		{"in handle", "http://a.test:0 {\nhandle /session {\nplacement_probe\n}\nhandle {\nrespond 404\n}\n}", "a.test /session"},
		{"in route", "http://a.test:0 {\nroute {\nroute /session {\nplacement_probe\n}\n}\n}", "a.test /session"},
		{"beside others", "http://a.test:0 {\nencode\nheader X a\nrespond /x 404\nplacement_probe /session\nreverse_proxy localhost:1\n}\nhttp://b.test:0 {\nrespond no\n}", "a.test /session"},
		{"below a prefix", "http://a.test:0 {\nhandle /api/* {\nplacement_probe /api/session\n}\n}", "a.test /api/session"},
		{"below a prefix that is taken away", "http://a.test:0 {\nhandle_path /api/* {\nplacement_probe /session\n}\n}", "a.test /api/session"},
		{"below a prefix that uri takes away", "http://a.test:0 {\nroute /api/* {\nuri strip_prefix /api\nplacement_probe /session\n}\n}", "a.test /api/session"},
		{"below two prefixes that are taken away", "http://a.test:0 {\nhandle_path /api/* {\nhandle_path /v1/* {\nplacement_probe /session\n}\n}\n}", "a.test /api/v1/session"},
		{"the exact path of handle_path", "http://a.test:0 {\nhandle_path /session {\nplacement_probe\n}\n}", "a.test /session"},
		{"the slash that handle_path leaves", "http://a.test:0 {\nhandle_path /session {\nplacement_probe /\n}\n}", "a.test /session"},
		{"the slash that handle_path leaves of a prefix", "http://a.test:0 {\nhandle_path /session/* {\nplacement_probe /\n}\n}", "a.test /session/"},
		{"several", "http://b.test:0, http://a.test:0 {\n@t path /token /session\nplacement_probe @t\n}", "a.test b.test /session /token"},
		{"several in another order", "http://a.test:0, http://b.test:0 {\n@t path /session /token\nhandle @t {\nplacement_probe\n}\n}", "a.test b.test /session /token"},
		{"a host in capitals", "http://A.TEST:0 {\nplacement_probe /Session\n}", "a.test /session"},
		{"a host of a wildcard", "http://*.test:0 {\n@a host a.test\nhandle @a {\nplacement_probe /session\n}\n}", "a.test /session"},
		{"a wildcard", "http://*.test:0 {\nplacement_probe /session/*\n}", "*.test /session/*"},
		{"a prefix with a wildcard", "http://a.test:0 {\nhandle_path /api/* {\nplacement_probe /session/*\n}\n}", "a.test /api/session/*"},
		{"any path", "http://a.test:0 {\nplacement_probe\n}", "a.test *"},
		{"any host", "http://:0 {\nplacement_probe /session\n}", "* /session"},
		{"anything", "http://:0 {\nplacement_probe\n}", "* *"},
		{"matchers that exclude each other", "http://a.test:0 {\nhandle /api/* {\nplacement_probe /session\n}\n}", "a.test /session"},
		{"a placeholder", "http://:0 {\n@t path {env.SESSION_PATH}\nplacement_probe @t\n}", "* {env.SESSION_PATH}"},
		{"in the handler of errors", "http://a.test:0 {\nhandle_errors {\nplacement_probe /session\n}\n}", "* /session"},
		{"in a named route", "&(tokens) {\nplacement_probe /session\n}\nhttp://a.test:0 {\ninvoke tokens\n}", "* /session"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := adaptProbes(t, test.site)
			for range 2 {
				var got []string
				validateProbes(t, config, func(ctx caddy.Context, p *probe) {
					place, _ := placement.Of(ctx, placement.Handler{Module: p})
					got = append(got, place.String())
				})
				if strings.Join(got, "; ") != test.place {
					t.Errorf("got %v, want %s", got, test.place)
				}
			}
		})
	}
}

// TestPlaceOutsideOfServers has a handler that no server leads to.
func TestPlaceOutsideOfServers(t *testing.T) {
	onProvision = func(ctx caddy.Context, p *probe) {
		place, warnings := placement.Of(ctx, placement.Handler{Module: p})
		if place.String() != "* *" || len(warnings) != 0 {
			t.Errorf("got %v %q", place, warnings)
		}
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if _, err := ctx.LoadModuleByID("http.handlers.placement_probe", json.RawMessage(`{}`)); err != nil {
		t.Fatal(err)
	}
}

// adaptProbes returns the http app of a Caddyfile.
func adaptProbes(t testing.TB, config string) json.RawMessage {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(caddyfile.Format([]byte(config)), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Apps struct{ HTTP json.RawMessage }
	}
	if err := json.Unmarshal(adapted, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed.Apps.HTTP
}

// validateProbes loads a config of the http app without running it.
func validateProbes(t testing.TB, httpApp json.RawMessage, do func(ctx caddy.Context, p *probe)) {
	t.Helper()
	onProvision = do
	if err := caddy.Validate(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output": "discard"}`)}}}},
		AppsRaw: caddy.ModuleMap{"http": httpApp},
	}); err != nil {
		t.Fatal(err)
	}
}

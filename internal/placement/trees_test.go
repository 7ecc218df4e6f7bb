// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/placement"
)

// TestTreesOfJSON has routes that no Caddyfile makes.
func TestTreesOfJSON(t *testing.T) {
	const (
		respond   = `{"handler": "static_response"}`
		token     = `{"handler": "placement_probe"}`
		guest     = `{"handler": "placement_guest"}`
		signIn    = `{"handler": "authentication", "providers": {}}`
		atSession = `"match": [{"path": ["/session"]}]`
	)
	subroute := func(routes ...string) string {
		return `{"handler": "subroute", "routes": [` + strings.Join(routes, ",") + `]}`
	}
	route := func(fields string, handlers ...string) string {
		if fields != "" {
			fields += ", "
		}
		return `{` + fields + `"handle": [` + strings.Join(handlers, ",") + `]}`
	}
	nested := route("", token)
	for range 200 {
		nested = route("", subroute(nested))
	}
	tests := []struct {
		name, routes string
		says         string // what must be in the warning, of a comma-separated list; nothing for none
	}{
		{"after an answer in its route", route(atSession, respond, token), "/session,respond"},
		{"before an answer in its route", route(atSession, token, respond), ""},
		{"after an answer in a subroute of its route", route(atSession, subroute(route("", respond)), subroute(route("", token))), "/session,respond"},
		{"the first of two subroutes that differ", route(atSession, subroute(route("", token)), subroute(route("", respond))), ""},
		{"one of two subroutes that are equal", route(atSession, subroute(route("", token)), subroute(route("", token))), ""},
		{"after a terminal route", route(`"terminal": true`, `{"handler": "vars"}`) + `,` + route(atSession, token), "/session,terminal"},
		{"after a terminal route of some requests", route(`"terminal": true, "match": [{"header": {"X": ["y"]}}]`, `{"handler": "vars"}`) + `,` + route(atSession, token), ""},
		{"after a route of its group", route(`"group": "a"`, `{"handler": "vars"}`) + `,` + route(`"group": "a", `+atSession, token), "/session,handle"},
		{"after a route of another group", route(`"group": "b"`, `{"handler": "vars"}`) + `,` + route(`"group": "a", `+atSession, token), ""},
		{"after a route of its group for some requests", route(`"group": "a", "match": [{"query": {"a": ["b"]}}]`, `{"handler": "vars"}`) + `,` + route(`"group": "a", `+atSession, token), ""},
		{"after an error that goes on", route("", `{"handler": "subroute", "routes": [`+route("", `{"handler": "error"}`)+`], "errors": {"routes": [`+route("", `{"handler": "vars"}`)+`]}}`) + `,` + route(atSession, token), ""},
		{"after an error that does not", route("", subroute(route("", `{"handler": "error"}`))) + `,` + route(atSession, token), "/session,error"},
		{"in error routes of a subroute", route(atSession, `{"handler": "subroute", "routes": [`+route("", `{"handler": "error"}`)+`], "errors": {"routes": [`+route("", token)+`]}}`), ""},
		{"in what a proxy does with a response", route(atSession, `{"handler": "reverse_proxy", "upstreams": [{"dial": "localhost:1"}], "handle_response": [{"routes": [`+route("", token)+`]}]}`), ""},
		{"after a guest", route("", guest) + `,` + route("", respond) + `,` + route(atSession, token), ""},
		{"beside a sign-in", route(`"group": "a", `+atSession, token) + `,` + route(`"group": "a"`, signIn), "/session,authentication"},
		{"beside a sign-in, after a guest that might be one", route("", guest) + `,` + route(`"group": "a", `+atSession, token) + `,` + route(`"group": "a"`, signIn), ""},
		{"beside a sign-in of some requests", route(`"group": "a", `+atSession, token) + `,` + route(`"group": "a", "match": [{"query": {"a": ["b"]}}]`, signIn), ""},
		{"in a route whose file matcher may fail it", route(`"match": [{"path": ["/session"], "file": {"try_files": ["=404"]}, "header": {"X": ["y"]}}, {"query": {"a": ["b"]}}]`, token), ""},
		{"after early hints", route("", `{"handler": "static_response", "status_code": 103}`) + `,` + route(atSession, token), ""},
		{"a named route that invokes itself", route("", `{"handler": "invoke", "name": "loop"}`) + `,` + route(atSession, token), ""},
		{"a named route that is not there", route("", `{"handler": "invoke", "name": "absent"}`) + `,` + route(atSession, token), "/session,invoke"},
		{"a Host that is changed", route(`"match": [{"host": ["a.test"]}]`, subroute(route("", `{"handler": "headers", "request": {"set": {"Host": ["b.test"]}}}`), route(`"match": [{"host": ["a.test"]}]`, respond), route(atSession, token))), ""},
		{"after a rate limit", route("", `{"handler": "rate_limit"}`) + `,` + route("", respond) + `,` + route(atSession, token), "/session,respond"},
		{"another of its kind that passes on", route(atSession, `{"handler": "placement_probe", "pass_thru": true, "name": "other"}`, token), ""},
		{"another of its kind", route(atSession, `{"handler": "placement_probe", "name": "other"}`, token), "/session,another"},
		{"matchers that are one or the other", route(`"match": [{"path": ["/other"]}, {"path": ["/s*"]}]`, respond) + `,` + route(atSession, token), "/session,respond"},
		{"matchers that must both fit", route(`"match": [{"path": ["/s*"], "method": ["GET"]}]`, respond) + `,` + route(atSession, token), ""},
		{"no routes, no handlers", `{}, {"handle": []}, {"match": []}, ` + route(atSession, token), ""},
		{"200 blocks in each other", nested, ""},
		{"a path with a placeholder", route(`"match": [{"path": ["{env.NOWHERE}"]}]`, token), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			loop := route("", `{"handler": "invoke", "name": "loop"}`, `{"handler": "invoke", "name": "loop"}`)
			config := fmt.Sprintf(`{"servers": {"s": {"listen": ["127.0.0.1:0"], "routes": [%s], "named_routes": {"loop": %s}}}}`, test.routes, loop)
			var said []string
			validateProbes(t, json.RawMessage(config), func(ctx caddy.Context, p *probe) {
				if p.Name != "other" {
					_, warnings := placement.Look(ctx, placement.Handler{Module: p})
					said = append(said, warnings...)
				}
			})
			if test.says == "" {
				if len(said) != 0 {
					t.Errorf("it says %q", said)
				}
				return
			}
			for name := range strings.SplitSeq(test.says, ",") {
				if len(said) != 1 || !strings.Contains(said[0], name) {
					t.Fatalf("it says %q, without %s", said, name)
				}
			}
		})
	}
}

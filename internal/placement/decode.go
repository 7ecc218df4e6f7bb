// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// undecoded stands for a handler or matcher of which no more than its name is
// looked at, or whose config cannot be read.
type undecoded struct{ name string }

// decodable are the handlers that are looked into. Only what Caddy itself does with
// the config of these is known.
var decodable = map[string]bool{
	"authentication":  true,
	"error":           true,
	"file_server":     true,
	"headers":         true,
	"invoke":          true,
	"reverse_proxy":   true,
	"rewrite":         true,
	"static_response": true,
	"subroute":        true,
	"vars":            true,
}

// handlersOf returns the handlers of a route, in whichever stage of being
// provisioned it is.
func (w *walk) handlersOf(route *caddyhttp.Route) []any {
	if handlers, ok := w.modules[route]; ok {
		return handlers
	}
	handlers := make([]any, 0, len(route.Handlers)+len(route.HandlersRaw))
	for _, handler := range route.Handlers {
		handlers = append(handlers, handler)
	}
	for _, raw := range route.HandlersRaw {
		handlers = append(handlers, w.decodeHandler(raw))
	}
	w.modules[route] = handlers
	return handlers
}

// decodeHandler does not provision what it makes of a config, because that might
// open files and connections. Only rewrites need it, to compile expressions.
func (w *walk) decodeHandler(raw json.RawMessage) any {
	name := rawName(raw)
	if !decodable[name] && name != w.name {
		return undecoded{name}
	}
	return w.decode("http.handlers."+name, name, raw, name == "rewrite")
}

func (w *walk) decode(id, name string, raw json.RawMessage, provision bool) any {
	info, err := caddy.GetModule(id)
	if err != nil {
		return undecoded{name}
	}
	module := info.New()
	if json.Unmarshal(raw, module) != nil {
		return undecoded{name}
	}
	if provisioner, ok := module.(caddy.Provisioner); ok && provision && provisioner.Provision(w.ctx) != nil {
		return undecoded{name}
	}
	return module
}

// matchersOf returns the matchers of a route, in whichever stage of being
// provisioned it is.
func (w *walk) matchersOf(route *caddyhttp.Route) caddyhttp.MatcherSets {
	if len(route.MatcherSetsRaw) == 0 {
		return route.MatcherSets
	}
	if sets, ok := w.matchers[route]; ok {
		return sets
	}
	sets := w.decodeMatchers(route.MatcherSetsRaw)
	w.matchers[route] = sets
	return sets
}

func (w *walk) decodeMatchers(raw []caddy.ModuleMap) caddyhttp.MatcherSets {
	var sets caddyhttp.MatcherSets
	for _, modules := range raw {
		var set caddyhttp.MatcherSet
		for name, config := range modules {
			switch name {
			case "host", "path", "path_regexp", "method":
				set = append(set, w.decode("http.matchers."+name, name, config, true))
			case "not", "file":
				set = append(set, w.decode("http.matchers."+name, name, config, false))
			default:
				set = append(set, undecoded{name})
			}
		}
		sets = append(sets, set)
	}
	return sets
}

func rawName(raw json.RawMessage) string {
	var head struct {
		Handler string `json:"handler"`
	}
	if json.Unmarshal(raw, &head) != nil {
		return ""
	}
	return head.Handler
}

func moduleName(module any) string {
	switch module := module.(type) {
	case undecoded:
		return module.name
	case caddy.Module:
		return module.CaddyModule().ID.Name()
	}
	return ""
}

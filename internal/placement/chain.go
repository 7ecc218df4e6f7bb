// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// chain is the way from the server's routes down to the handler.
type chain struct {
	levels    []level
	subroutes []*caddyhttp.Subroute

	// complete tells whether there is a level for each list of routes that leads
	// here, without a doubt about any.
	complete bool
}

// level is one list of routes on the way.
type level struct {
	routes   caddyhttp.RouteList
	index    int // of the route that leads to the handler
	position int // of the handler of that route that leads to it
}

func (l level) route() *caddyhttp.Route { return &l.routes[l.index] }

// findChain relies on the order in which Caddy provisions: first the matchers of a
// list of routes, then their handlers, route by route. LoadModule empties
// HandlersRaw when all of a route's handlers are there, so that the first route
// that still has some is the one that is being provisioned.
func (w *walk) findChain() {
	modules := w.ctx.Modules()
	if w.server == nil || len(modules) < 2 {
		return
	}
	lists := []caddyhttp.RouteList{w.server.Routes}
	for _, module := range modules[1 : len(modules)-1] {
		subroute, ok := module.(*caddyhttp.Subroute)
		if !ok {
			return // a handler that has routes of its own, such as reverse_proxy
		}
		w.chain.subroutes = append(w.chain.subroutes, subroute)
		lists = append(lists, subroute.Routes)
	}
	w.chain.complete = true
	for i, routes := range lists {
		index := slices.IndexFunc(routes, func(route caddyhttp.Route) bool { return len(route.HandlersRaw) > 0 })
		if index < 0 {
			w.chain.complete = false // the error routes or a named route
			continue
		}
		position, certain := w.findPosition(routes[index].HandlersRaw, modules[i+1])
		if position < 0 {
			w.chain.complete = false
			continue
		}
		w.chain.complete = w.chain.complete && certain
		found := level{routes, index, position}
		w.chain.levels = append(w.chain.levels, found)
		w.modules[found.route()] = w.modulesAround(found, modules[i+1])
	}
}

// findPosition returns which of a route's handlers is the one that is being
// provisioned, and whether that is certain.
func (w *walk) findPosition(raw []json.RawMessage, module caddy.Module) (position int, certain bool) {
	name := moduleName(module)
	var named, same []int
	for i, handler := range raw {
		if rawName(handler) == name {
			named = append(named, i)
		}
	}
	switch len(named) {
	case 0:
		return -1, false
	case 1:
		return named[0], true
	}
	for _, i := range named {
		if subroute, ok := module.(*caddyhttp.Subroute); ok && isSubroute(raw[i], subroute) || !ok && isConfigOf(raw[i], module) {
			same = append(same, i)
		}
	}
	if len(same) == 0 {
		return named[0], false
	}
	return same[0], len(same) == 1
}

// isSubroute reports whether raw can be what subroute, which is being provisioned,
// was made of.
func isSubroute(raw json.RawMessage, subroute *caddyhttp.Subroute) bool {
	// As Caddy does when it takes the name out.
	var config map[string]any
	if json.Unmarshal(raw, &config) != nil {
		return false
	}
	delete(config, "handler")
	normalized, err := json.Marshal(config)
	var made caddyhttp.Subroute
	if err != nil || json.Unmarshal(normalized, &made) != nil || len(made.Routes) != len(subroute.Routes) {
		return false
	}
	for i := range subroute.Routes {
		route, from := &subroute.Routes[i], &made.Routes[i]
		if from.Group != route.Group || from.Terminal != route.Terminal {
			return false
		}
		if route.HandlersRaw == nil {
			if !slices.EqualFunc(from.HandlersRaw, route.Handlers, func(raw json.RawMessage, handler caddyhttp.MiddlewareHandler) bool {
				return rawName(raw) == moduleName(handler)
			}) {
				return false
			}
		} else if !slices.EqualFunc(from.HandlersRaw, route.HandlersRaw, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			return false
		}
	}
	return true
}

// isConfigOf reports whether module, which has its config as it was loaded, was made
// of raw.
func isConfigOf(raw json.RawMessage, module caddy.Module) bool {
	made := module.CaddyModule().New()
	if json.Unmarshal(raw, made) != nil {
		return false
	}
	from, err := json.Marshal(made)
	if err != nil {
		return false
	}
	config, err := json.Marshal(module)
	return err == nil && bytes.Equal(from, config)
}

// modulesAround returns the handlers of a route on the way: the one that leads to
// the handler as it is, and the others from their config.
func (w *walk) modulesAround(l level, onWay caddy.Module) []any {
	var handlers []any
	for i, raw := range l.route().HandlersRaw {
		if i == l.position {
			handlers = append(handlers, onWay)
			continue
		}
		handlers = append(handlers, w.decodeHandler(raw))
	}
	return handlers
}

// isOnWay reports whether a route is one of those that lead to the handler.
func (c *chain) isOnWay(route *caddyhttp.Route) bool {
	return slices.ContainsFunc(c.levels, func(l level) bool { return l.route() == route })
}

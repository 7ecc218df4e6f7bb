// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// end is how the way of a request ends.
type end int

const (
	unsure   end = iota
	reached      // at the handler
	taken        // something else answers
	changed      // the path was changed to one that does not lead to the handler
	excluded     // the matchers on the way let no such request through
)

// outcome is what became of a request.
type outcome struct {
	end
	state

	by       string           // what took it, as its directive
	refuses  bool             // whether that is an error, a redirect or the like
	excludes *caddyhttp.Route // the route on the way that does not take it
}

// next continues the way of a request, as the next handler does in Caddy.
type next func(state) outcome

// follow tells what becomes of a request.
func (w *walk) follow(method, host, path string) outcome {
	s := state{method: method, host: host, path: path, askedFor: path}
	return w.followRoutes(w.server.Routes, s, func(s state) outcome { return w.take(s, "", true) })
}

// take ends the way at something that answers.
func (w *walk) take(s state, by string, refuses bool) outcome {
	if s.doubtful {
		return outcome{}
	}
	return outcome{end: taken, state: s, by: by, refuses: refuses}
}

// fail is take for what may end with an error.
func (w *walk) fail(s state, by string, refuses bool) outcome {
	if s.catches {
		return outcome{}
	}
	return w.take(s, by, refuses)
}

// merge is the outcome of a request of which it is not known which of two ways it
// goes.
func merge(a, b outcome) outcome {
	switch {
	case a.end == reached && b.end == reached:
		if a.signedIn != b.signedIn {
			b.signedIn = maybe
		}
		if len(a.headers) < len(b.headers) {
			b.headers = a.headers
		}
		b.assumed = b.assumed || a.assumed
		return b
	case a.end == unsure || b.end == unsure || a.end == reached || b.end == reached:
		return outcome{}
	}
	b.refuses = a.refuses && b.refuses
	return b
}

// tires counts a step, and reports whether there were too many.
func (w *walk) tires() bool {
	w.steps++
	return w.steps > maxSteps
}

func (w *walk) followRoutes(routes caddyhttp.RouteList, s state, after next) outcome {
	for i := range routes {
		if w.tires() {
			return outcome{}
		}
		route := &routes[i]
		inGroup := no
		if route.Group != "" {
			inGroup = s.groups[route.Group]
		}
		s.missing = false
		matches := no
		if inGroup != yes {
			matches = w.matches(route, &s)
		}
		if !w.beyond && w.chain.isOnWay(route) {
			if matches == no {
				return w.miss(route, s, inGroup == yes)
			}
			s.assumed = s.assumed || matches == maybe
			matches = yes
		}
		if matches == no || matches == maybe && s.missing && w.isOvertaken(routes[i:]) {
			continue
		}
		rest := func(s state) outcome { return w.followRoutes(routes[i+1:], s, after) }
		if matches == yes && inGroup == no {
			return w.enter(route, s, rest)
		}
		// Most that depends on the request only decorates it: no need to go two ways.
		if w.decorate(route, &s) {
			continue
		}
		without := s
		without.fileError = false
		return merge(w.enter(route, s, rest), rest(without))
	}
	return after(s)
}

// isOvertaken reports whether the first of routes, whose files are not there, is one
// of those that a try_files with a query is made of. It is the last of them that
// counts, as it is the last file of a try_files that is one route.
func (w *walk) isOvertaken(routes caddyhttp.RouteList) bool {
	return len(routes) > 1 && routes[0].Group != "" && routes[0].Group == routes[1].Group && w.isTryFiles(&routes[0])
}

// miss is the end of a request that does not get into a route on the way.
func (w *walk) miss(route *caddyhttp.Route, s state, isGroupTaken bool) outcome {
	if s.doubtful {
		return outcome{}
	}
	if isGroupTaken {
		return w.take(s, "handle", false)
	}
	if s.changed != nil {
		before := s
		before.path = s.changed.from
		if w.matches(route, &before) != no {
			return outcome{end: changed, state: s, by: s.changed.by}
		}
	}
	return outcome{end: excluded, state: s, excludes: route}
}

// enter follows a request through the handlers of a route that takes it.
func (w *walk) enter(route *caddyhttp.Route, s state, rest next) outcome {
	if s.fileError {
		return w.fail(s, "try_files", true)
	}
	s.satisfy(route.Group, yes)
	if route.Terminal {
		rest = func(s state) outcome { return w.take(s, "", true) }
	}
	return w.followHandlers(route, w.handlersOf(route), s, rest)
}

func (w *walk) followHandlers(route *caddyhttp.Route, handlers []any, s state, rest next) outcome {
	if len(handlers) == 0 {
		return rest(s)
	}
	after := func(s state) outcome { return w.followHandlers(route, handlers[1:], s, rest) }
	s.at = handlers[0]
	switch h := handlers[0].(type) {
	case *caddyhttp.Subroute:
		return w.followSubroute(route, h, s, after)
	case *caddyhttp.Invoke:
		return w.followInvoke(h, s, after)
	case *caddyhttp.VarsMiddleware:
		s.setVars(*h, yes)
		return after(s)
	case *caddyhttp.StaticResponse:
		if !h.Abort && string(h.StatusCode) == strconv.Itoa(http.StatusEarlyHints) {
			return after(s)
		}
		return w.take(s, responseName(h), refusesBy(h))
	case *caddyhttp.StaticError:
		return w.fail(s, "error", true)
	case *rewrite.Rewrite:
		if !w.change(h, &s) {
			return outcome{}
		}
		return after(s)
	case *headers.Handler:
		return w.followHeaders(h, s, after)
	case *caddyauth.Authentication:
		s.signedIn = yes
		return after(s)
	case *reverseproxy.Handler:
		return w.followProxy(h, s, after)
	case *fileserver.FileServer:
		answers := w.fail(s, "file_server", false)
		if h.PassThru {
			answers = merge(answers, after(s))
		}
		return answers
	}
	return w.followOther(handlers[0], s, after)
}

func (w *walk) followSubroute(route *caddyhttp.Route, subroute *caddyhttp.Subroute, s state, after next) outcome {
	outside, catches := s.block, s.catches
	s.catches = s.catches || subroute.Errors != nil
	if !w.chain.leadsThrough(subroute) {
		s.block = &block{w.blockKind(route, subroute), w.patternOf(route)}
	}
	return w.followRoutes(subroute.Routes, s, func(s state) outcome {
		s.block = outside
		// Errors of what comes after a subroute go through its error routes, too.
		s.catches = s.catches || catches
		return after(s)
	})
}

func (w *walk) followInvoke(invoke *caddyhttp.Invoke, s state, after next) outcome {
	route, ok := w.server.NamedRoutes[invoke.Name]
	if !ok || route == nil {
		return w.fail(s, "invoke", true)
	}
	// Named routes can invoke each other, and themselves.
	s.invoked++
	if s.invoked > maxInvoked {
		return outcome{}
	}
	outside := s.block
	s.block = &block{kind: "the named route " + invoke.Name}
	return w.followRoutes(w.namedRoute(invoke.Name, route), s, func(s state) outcome {
		s.block = outside
		return after(s)
	})
}

func (w *walk) followHeaders(h *headers.Handler, s state, after next) outcome {
	if changesHost(h.Request) {
		return outcome{}
	}
	if h.Response != nil && h.Response.HeaderOps != nil && h.Response.Deferred && h.Response.Require == nil {
		s.deferHeaders(h.Response)
	}
	return after(s)
}

// followProxy takes the shape of forward_auth for a sign-in: an upstream is asked,
// and the request goes on if it answers 2xx.
func (w *walk) followProxy(h *reverseproxy.Handler, s state, after next) outcome {
	answers := w.fail(s, proxyName(h), false)
	passes := false
	for _, response := range h.HandleResponse {
		if response.StatusCode != "" {
			continue
		}
		goesOn := false
		through := w.followRoutes(response.Routes, s, func(s state) outcome {
			goesOn = true
			return outcome{end: reached, state: s}
		})
		if through.end == reached && isSuccess(response.Match) {
			s.signedIn = yes
			return after(s)
		}
		passes = passes || goesOn
	}
	if !passes {
		return answers
	}
	return merge(answers, after(s))
}

// followOther follows a request through a handler that is known by its name only.
func (w *walk) followOther(handler any, s state, after next) outcome {
	switch name := moduleName(handler); {
	case handler == any(w.handler.Module):
		if w.beyond {
			return after(s)
		}
		return outcome{end: reached, state: s}
	case name == w.name:
		if passesThru(handler) {
			return after(s)
		}
		return w.take(s, "another "+name, false)
	case passesOn[name]:
		return after(s)
	case name == "metrics":
		return w.take(s, name, false)
	}
	s.doubtful = true
	s.signedIn = max(s.signedIn, maybe)
	return after(s)
}

// decorate has a route that may or may not take the request leave its mark, if all
// of its handlers pass the request on as it is.
func (w *walk) decorate(route *caddyhttp.Route, s *state) bool {
	if s.fileError || route.Terminal {
		return false
	}
	handlers := w.handlersOf(route)
	for _, handler := range handlers {
		switch h := handler.(type) {
		case *caddyhttp.VarsMiddleware, *caddyauth.Authentication:
		case *headers.Handler:
			if changesHost(h.Request) {
				return false
			}
		default:
			if !passesOn[moduleName(handler)] {
				return false
			}
		}
	}
	for _, handler := range handlers {
		switch h := handler.(type) {
		case *caddyhttp.VarsMiddleware:
			s.setVars(*h, maybe)
		case *caddyauth.Authentication:
			s.signedIn = max(s.signedIn, maybe)
		}
	}
	s.file = ""
	s.satisfy(route.Group, maybe)
	return true
}

func responseName(h *caddyhttp.StaticResponse) string {
	switch {
	case h.Abort:
		return "abort"
	case h.Headers.Get("Location") != "" || strings.Contains(h.Body, "window.location.replace"):
		return "redir"
	}
	return "respond"
}

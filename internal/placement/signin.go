// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// signInElsewhere returns the directive by which other visitors of the site sign in:
// one that this request would meet, too, if only the matchers around it decided.
func (w *walk) signInElsewhere(method, host, path string) string {
	s := state{method: method, host: host, path: path, askedFor: path}
	return w.signInAmong(w.server.Routes, &s)
}

func (w *walk) signInAmong(routes caddyhttp.RouteList, s *state) string {
	for i := range routes {
		if w.tires() {
			return ""
		}
		route := &routes[i]
		onWay := w.chain.isOnWay(route)
		matches := w.matches(route, s)
		if matches != yes && !onWay || s.fileError {
			s.fileError = false
			continue
		}
		// What a route changes is not changed for those that stand in for it.
		inside := *s
		if name := w.signInOf(w.handlersOf(route), &inside); name != "" {
			return name
		}
		if route.Group == "" {
			*s = inside
		}
		if onWay && route.Terminal {
			break // what comes after it is another site
		}
	}
	return ""
}

func (w *walk) signInOf(handlers []any, s *state) string {
	for _, handler := range handlers {
		switch h := handler.(type) {
		case *caddyauth.Authentication:
			return authenticationName(h)
		case *reverseproxy.Handler:
			if w.isForwardAuth(h, *s) {
				return "forward_auth"
			}
		case *caddyhttp.VarsMiddleware:
			s.setVars(*h, yes)
		case *rewrite.Rewrite:
			if !w.change(h, s) {
				return ""
			}
		case *caddyhttp.Invoke:
			if route, ok := w.server.NamedRoutes[h.Name]; ok && route != nil && s.invoked < maxInvoked {
				s.invoked++
				if name := w.signInAmong(w.namedRoute(h.Name, route), s); name != "" {
					return name
				}
			}
		case *caddyhttp.Subroute:
			if name := w.signInAmong(h.Routes, s); name != "" {
				return name
			}
		}
	}
	return ""
}

func authenticationName(h *caddyauth.Authentication) string {
	_, live := h.Providers["http_basic"]
	_, raw := h.ProvidersRaw["http_basic"]
	if live || raw {
		return "basic_auth"
	}
	return "authentication"
}

// isForwardAuth reports whether a proxy sends requests on when its upstream answers
// 2xx.
func (w *walk) isForwardAuth(h *reverseproxy.Handler, s state) bool {
	for _, response := range h.HandleResponse {
		if response.StatusCode != "" || !isSuccess(response.Match) {
			continue
		}
		if w.followRoutes(response.Routes, s, sendOn).end == reached {
			return true
		}
	}
	return false
}

func sendOn(s state) outcome { return outcome{end: reached, state: s} }

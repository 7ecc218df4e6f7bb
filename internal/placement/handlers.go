// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// passesOn are the handlers that call the next one with the request as it is, at
// least for a request that nobody objects to.
var passesOn = map[string]bool{
	"copy_response_headers": true,
	"encode":                true,
	"intercept":             true,
	"log_append":            true,
	"map":                   true,
	"push":                  true,
	"rate_limit":            true, // of github.com/mholt/caddy-ratelimit
	"request_body":          true,
	"templates":             true,
	"timeouts":              true,
	"tracing":               true,
}

// leadsThrough reports whether a subroute leads to the handler.
func (c *chain) leadsThrough(subroute *caddyhttp.Subroute) bool {
	return slices.Contains(c.subroutes, subroute)
}

// namedRoute returns the same list for a named route each time, so that its
// handlers are decoded once.
func (w *walk) namedRoute(name string, route *caddyhttp.Route) caddyhttp.RouteList {
	if known, ok := w.named[name]; ok {
		return known
	}
	w.named[name] = caddyhttp.RouteList{*route}
	return w.named[name]
}

// blockKind says what a subroute was made of, as far as that can be told from it.
func (w *walk) blockKind(route *caddyhttp.Route, subroute *caddyhttp.Subroute) string {
	if len(subroute.Routes) > 0 {
		if first := w.handlersOf(&subroute.Routes[0]); len(first) == 1 {
			if r, ok := first[0].(*rewrite.Rewrite); ok && r.StripPathPrefix != "" {
				return "a handle_path block"
			}
		}
	}
	switch {
	case route.Group != "":
		return "a handle block"
	case route.Terminal:
		return "a site block"
	}
	return "a handle or route block"
}

// patternOf returns the paths that a route names.
func (w *walk) patternOf(route *caddyhttp.Route) string {
	var patterns []string
	w.eachMatcher(w.matchersOf(route), false, func(matcher any, negated bool) {
		if path, ok := matcher.(*caddyhttp.MatchPath); ok && !negated {
			patterns = append(patterns, *path...)
		}
	})
	return strings.Join(patterns, " ")
}

// refusesBy reports whether a fixed response turns visitors away.
func refusesBy(h *caddyhttp.StaticResponse) bool {
	status := string(h.StatusCode)
	return h.Abort || responseName(h) == "redir" || len(status) == 3 && status >= "300"
}

// isTryFiles reports whether a route does what a try_files directive does.
func (w *walk) isTryFiles(route *caddyhttp.Route) bool {
	handlers := w.handlersOf(route)
	if len(handlers) != 1 {
		return false
	}
	h, ok := handlers[0].(*rewrite.Rewrite)
	return ok && strings.Contains(h.URI, filePlaceholder)
}

func changesHost(ops *headers.HeaderOps) bool {
	if ops == nil {
		return false
	}
	isHost := func(name string) bool {
		return strings.EqualFold(name, "Host") || strings.ContainsAny(name, "*{")
	}
	for _, set := range []http.Header{ops.Set, ops.Add} {
		for name := range set {
			if isHost(name) {
				return true
			}
		}
	}
	for name := range ops.Replace {
		if isHost(name) {
			return true
		}
	}
	return slices.ContainsFunc(ops.Delete, isHost)
}

func proxyName(h *reverseproxy.Handler) string {
	protocol := moduleName(h.Transport)
	if len(h.TransportRaw) > 0 {
		var transport struct {
			Protocol string `json:"protocol"`
		}
		if json.Unmarshal(h.TransportRaw, &transport) == nil {
			protocol = transport.Protocol
		}
	}
	if protocol == "fastcgi" {
		return "php_fastcgi"
	}
	return "reverse_proxy"
}

// isSuccess reports whether a response matcher is for 2xx and nothing else.
func isSuccess(m *caddyhttp.ResponseMatcher) bool {
	return m != nil && len(m.StatusCode) > 0 && !slices.ContainsFunc(m.StatusCode, func(code int) bool {
		return code != 2 && code/100 != 2
	})
}

// passesThru reads that option of another handler of the same kind, whose type is
// not known here.
func passesThru(handler any) bool {
	var options struct {
		PassThru bool `json:"pass_thru"`
	}
	config, err := json.Marshal(handler)
	return err == nil && json.Unmarshal(config, &options) == nil && options.PassThru
}

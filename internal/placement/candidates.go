// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	// unnamed stands for a part of a host or path that no config names.
	unnamed = "x-unnamed-x"

	// maxHosts and maxPaths bound how many hosts and paths are tried.
	maxHosts = 64
	maxPaths = 32
)

// target is a path that the matchers on the way ask for.
type target struct {
	path        string   // as a matcher on the way has it; nothing for any
	clientPaths []string // as the config would have it for clients
	requests    []string // the paths of the requests that are tried
}

// targets returns a target for each exact path of the innermost route that names
// some, else for each pattern, else one for any path.
func (w *walk) targets() []target {
	exact, patterns, odd := w.innermostPaths()
	var targets []target
	for _, found := range exact {
		paths := w.clientPaths(found.path, found.depth)
		targets = append(targets, target{found.path, paths, paths})
	}
	if len(exact) > 0 {
		return targets
	}
	for _, found := range patterns {
		paths := w.clientPaths(found.path, found.depth)
		targets = append(targets, target{found.path, paths, w.samples(paths)})
	}
	for _, found := range odd {
		targets = append(targets, target{path: found.path})
	}
	if len(targets) > 0 {
		return targets
	}
	return []target{{requests: w.samples(w.clientPaths("*", len(w.chain.levels)-1))}}
}

// pathAt is a path of a matcher at some depth of the way.
type pathAt struct {
	path  string
	depth int
}

// innermostPaths returns the paths of the innermost route that has exact ones, and
// the patterns of the innermost that has any. Odd are those of which no request can
// be made.
func (w *walk) innermostPaths() (exact, patterns, odd []pathAt) {
	for depth, level := range w.chain.levels {
		var exactHere, patternsHere, oddHere []pathAt
		w.eachMatcher(w.matchersOf(level.route()), false, func(matcher any, negated bool) {
			for _, path := range pathsOf(matcher) {
				switch {
				case negated:
				case strings.ContainsAny(path, `{%?[\`):
					oddHere = append(oddHere, pathAt{path, depth})
				case strings.Contains(path, "*"):
					patternsHere = append(patternsHere, pathAt{path, depth})
				default:
					exactHere = append(exactHere, pathAt{path, depth})
				}
			}
		})
		if len(oddHere) > 0 {
			// One that cannot be tried might be the one that is reached.
			exact, patterns, odd = nil, nil, slices.Concat(exactHere, patternsHere, oddHere)
			continue
		}
		if len(exactHere) > 0 {
			exact = exactHere
		}
		if len(patternsHere) > 0 {
			patterns = patternsHere
		}
	}
	return exact, patterns, odd
}

// pathsOf returns the paths of a matcher. Of a regular expression that is one if it
// matches one only.
func pathsOf(matcher any) []string {
	switch m := matcher.(type) {
	case *caddyhttp.MatchPath:
		return *m
	case *caddyhttp.MatchPathRE:
		literal := strings.TrimSuffix(strings.TrimPrefix(m.Pattern, "^"), "$")
		if expression, err := regexp.Compile(literal); err == nil && strings.HasPrefix(literal, "/") {
			if path, complete := expression.LiteralPrefix(); complete {
				return []string{path}
			}
		}
		return []string{"{" + m.Pattern + "}"}
	}
	return nil
}

// samples returns paths of requests for patterns: one that nobody names for each,
// and those that matchers before the handler name.
func (w *walk) samples(patterns []string) []string {
	var samples []string
	add := func(path string) {
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		if len(samples) < maxPaths && !strings.ContainsAny(path, `{%?[\*`) && !slices.Contains(samples, path) && w.fitsChain(path) {
			samples = append(samples, path)
		}
	}
	for _, pattern := range patterns {
		add(strings.ReplaceAll(pattern, "*", ""))
		add(strings.ReplaceAll(pattern, "*", unnamed))
	}
	w.eachMention(func(matcher any) {
		for _, path := range pathsOf(matcher) {
			add(strings.ReplaceAll(path, "*", ""))
			add(strings.ReplaceAll(path, "*", unnamed))
		}
	})
	return samples
}

// eachMention calls visit for the matchers of the site's routes: all that are
// beside the way, and those in the blocks before the handler.
func (w *walk) eachMention(visit func(matcher any)) {
	var inRoutes func(routes caddyhttp.RouteList)
	visitRoute := func(route *caddyhttp.Route) {
		w.eachMatcher(w.matchersOf(route), false, func(matcher any, _ bool) { visit(matcher) })
	}
	inHandlers := func(handlers []any) {
		for _, handler := range handlers {
			if subroute, ok := handler.(*caddyhttp.Subroute); ok && !w.chain.leadsThrough(subroute) {
				inRoutes(subroute.Routes)
			}
		}
	}
	inRoutes = func(routes caddyhttp.RouteList) {
		for i := range routes {
			visitRoute(&routes[i])
			inHandlers(w.handlersOf(&routes[i]))
		}
	}
	for _, level := range w.chain.levels {
		for i := range level.routes {
			route := &level.routes[i]
			if route.Terminal && i != level.index {
				continue // another site
			}
			visitRoute(route)
			switch {
			case i < level.index:
				inHandlers(w.handlersOf(route))
			case i == level.index:
				inHandlers(w.handlersOf(route)[:level.position])
			}
		}
	}
}

// hosts returns the names in the host matchers on the way, with their wildcards,
// as far as they fit each other.
func (c *chain) hosts(w *walk) []string {
	return slices.DeleteFunc(c.allHosts(w), func(host string) bool { return !w.fitsHosts(host) })
}

// allHosts returns the names in the host matchers on the way, sorted.
func (c *chain) allHosts(w *walk) []string {
	var hosts []string
	for _, level := range c.levels {
		w.eachMatcher(w.matchersOf(level.route()), false, func(matcher any, negated bool) {
			if host, ok := matcher.(*caddyhttp.MatchHost); ok && !negated {
				for _, name := range *host {
					hosts = append(hosts, strings.ToLower(name))
				}
			}
		})
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// fitsHosts reports whether the matchers on the way can let a host through.
func (w *walk) fitsHosts(host string) bool {
	for _, level := range w.chain.levels {
		if w.matches(level.route(), &state{host: host}) == no {
			return false
		}
	}
	return true
}

// mentionedHosts returns the hosts that the routes of the site name, and one that
// they do not.
func (w *walk) mentionedHosts() []string {
	hosts := []string{unnamed + ".example"}
	w.eachMention(func(matcher any) {
		if names, ok := matcher.(*caddyhttp.MatchHost); ok {
			for _, name := range *names {
				name = strings.ReplaceAll(strings.ToLower(name), "*", unnamed)
				if len(hosts) < maxHosts && !hasPlaceholder(name) && !slices.Contains(hosts, name) {
					hosts = append(hosts, name)
				}
			}
		}
	})
	return hosts
}

// siteHosts returns the hosts at which the handler is meant to be reached, and one
// that stands for those that nobody names.
func (w *walk) siteHosts() (named []string, other string, hasOther bool) {
	onWay := w.chain.hosts(w)
	if all := w.chain.allHosts(w); len(all) > 0 && len(onWay) == 0 {
		return all[:min(len(all), maxHosts)], "", false // they exclude each other
	}
	isWild := func(host string) bool { return strings.ContainsAny(host, "*{") }
	for _, host := range onWay {
		if !isWild(host) && len(named) < maxHosts {
			named = append(named, host)
		}
	}
	wild := slices.IndexFunc(onWay, isWild)
	if len(onWay) > 0 && wild < 0 {
		return named, "", false
	}
	for _, host := range w.mentionedHosts() {
		if !strings.Contains(host, unnamed) && len(named) < maxHosts && !slices.Contains(named, host) && w.fitsHosts(host) {
			named = append(named, host)
		}
	}
	other = unnamed + ".example"
	if wild >= 0 {
		other = strings.ReplaceAll(onWay[wild], "*", unnamed)
	}
	if hasPlaceholder(other) {
		return named, "", true // any: matchers of hosts are unsure
	}
	return named, other, w.fitsHosts(other)
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// change applies a rewrite to the request as Caddy does, and reports whether it
// knows how. The query is left alone: no matcher that is asked looks at it.
func (w *walk) change(h *rewrite.Rewrite, s *state) bool {
	w.steps += rewriteSteps
	known := *h
	known.Query = nil
	known.URI, _, _ = strings.Cut(h.URI, "?")
	for _, text := range []*string{&known.Method, &known.URI, &known.StripPathPrefix, &known.StripPathSuffix} {
		expanded, ok := s.expand(*text)
		if !ok {
			return false
		}
		*text = expanded
	}
	for _, replacement := range known.URISubstring {
		if hasPlaceholder(replacement.Find) || hasPlaceholder(replacement.Replace) {
			return false
		}
	}
	for _, replacement := range known.PathRegexp {
		if hasPlaceholder(replacement.Replace) {
			return false
		}
	}
	r := *w.requestFor(s)
	r.URL = &url.URL{Path: s.path}
	known.Rewrite(&r, caddy.NewEmptyReplacer())
	if r.URL.Path != s.path {
		s.changed = &change{changeName(h, s), s.path, r.URL.Path, h.StripPathPrefix != "", s.block}
	}
	s.method, s.path = r.Method, r.URL.Path
	return true
}

func changeName(h *rewrite.Rewrite, s *state) string {
	switch {
	case strings.Contains(h.URI, filePlaceholder):
		return s.fileBy
	case h.URI != "":
		return "rewrite"
	}
	return "uri"
}

// directRewrite is a rewrite that stands on the way itself, in no block beside it.
type directRewrite struct {
	*rewrite.Rewrite
	depth int              // of its list of routes
	route *caddyhttp.Route // nil if that leads to the handler
}

// findRewrites finds those of all levels, from the outside in.
func (w *walk) findRewrites() {
	for depth, level := range w.chain.levels {
		for i := range level.routes[:level.index] {
			route := &level.routes[i]
			if route.Terminal {
				continue
			}
			for _, handler := range route.Handlers {
				if change, ok := handler.(*rewrite.Rewrite); ok {
					w.rewrites = append(w.rewrites, directRewrite{change, depth, route})
				}
			}
		}
		for _, handler := range w.handlersOf(level.route())[:level.position] {
			if change, ok := handler.(*rewrite.Rewrite); ok {
				w.rewrites = append(w.rewrites, directRewrite{change, depth, nil})
			}
		}
	}
}

// maxClientPaths bounds how many paths of clients are tried for one path of a
// matcher.
const maxClientPaths = 16

// clientPaths returns the paths that clients may ask for so that a matcher at some
// depth sees path: what was taken away on the way is put back.
func (w *walk) clientPaths(path string, depth int) []string {
	paths := []string{path}
	for _, change := range slices.Backward(w.rewrites) {
		if change.depth > depth || change.depth == depth && change.route == nil {
			continue
		}
		for _, seen := range paths {
			for _, before := range undo(change.Rewrite, seen) {
				if len(paths) < maxClientPaths && !slices.Contains(paths, before) {
					paths = append(paths, before)
				}
			}
		}
	}
	return paths
}

// undo returns paths that a rewrite makes path of.
func undo(h *rewrite.Rewrite, path string) []string {
	if prefix := h.StripPathPrefix; prefix != "" && !hasPlaceholder(prefix) {
		prefix = "/" + strings.Trim(prefix, "/")
		switch {
		case path == "/":
			return []string{prefix, prefix + "/"}
		case strings.HasPrefix(path, prefix+"/"):
			// Who writes /api/session inside of handle_path /api/* does not mean
			// /api/api/session.
			return nil
		}
		return []string{prefix + path}
	}
	uri, _, _ := strings.Cut(h.URI, "?")
	for _, placeholder := range []string{"{http.request.uri}", pathPlaceholder} {
		if added, ok := strings.CutSuffix(uri, placeholder); ok && !hasPlaceholder(added) {
			if before, found := strings.CutPrefix(path, added); found && strings.HasPrefix(before, "/") {
				return []string{before}
			}
			return nil
		}
	}
	for _, replacement := range h.URISubstring {
		if replacement.Replace != "" && strings.Contains(path, replacement.Replace) {
			return []string{strings.Replace(path, replacement.Replace, replacement.Find, 1)}
		}
	}
	return nil
}

// fitsChain reports whether the matchers on the way can let a request for path
// through, whatever else stands there.
func (w *walk) fitsChain(path string) bool {
	s := state{path: path, askedFor: path}
	rewrites := w.rewrites
	for depth, level := range w.chain.levels {
		matched := false
		for ; len(rewrites) > 0 && rewrites[0].depth == depth; rewrites = rewrites[1:] {
			change := rewrites[0]
			if change.route == nil && !matched {
				matched = true
				if w.matches(level.route(), &s) == no {
					return false
				}
			}
			if change.route == nil || w.matches(change.route, &s) != no {
				w.change(change.Rewrite, &s)
			}
		}
		if !matched && w.matches(level.route(), &s) == no {
			return false
		}
	}
	return true
}

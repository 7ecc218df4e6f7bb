// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// change applies a rewrite to the request as Caddy does, and reports whether it
// knows how. The query is left alone: no matcher that is asked looks at it.
func (w *walk) change(h *rewrite.Rewrite, s *state) bool {
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
	r := w.requestFor(s)
	known.Rewrite(r, caddy.NewEmptyReplacer())
	if r.URL.Path != s.path {
		s.changed = &change{changeName(h), s.path, r.URL.Path, h.StripPathPrefix != "", s.block}
	}
	s.method, s.path = r.Method, r.URL.Path
	return true
}

func changeName(h *rewrite.Rewrite) string {
	switch {
	case strings.Contains(h.URI, filePlaceholder):
		return "try_files"
	case h.URI != "":
		return "rewrite"
	}
	return "uri"
}

// changesBefore returns the rewrites that stand directly on the way to a level,
// from the outside in, with the routes that they are in.
func (w *walk) changesBefore(depth int) []*rewrite.Rewrite {
	var changes []*rewrite.Rewrite
	collect := func(handlers []any) {
		for _, handler := range handlers {
			if change, ok := handler.(*rewrite.Rewrite); ok {
				changes = append(changes, change)
			}
		}
	}
	for i, level := range w.chain.levels {
		if i > depth {
			break
		}
		for j := range level.routes[:level.index] {
			if route := &level.routes[j]; !route.Terminal {
				collect(w.handlersOf(route))
			}
		}
		if i < depth {
			collect(w.handlersOf(level.route())[:level.position])
		}
	}
	return changes
}

// maxClientPaths bounds how many paths of clients are tried for one path of a
// matcher.
const maxClientPaths = 16

// clientPaths returns the paths that clients may ask for so that a matcher at some
// depth sees path: what was taken away on the way is put back.
func (w *walk) clientPaths(path string, depth int) []string {
	paths := []string{path}
	changes := w.changesBefore(depth)
	for _, change := range slices.Backward(changes) {
		for _, seen := range paths {
			before, ok := undo(change, seen)
			if ok && len(paths) < maxClientPaths && !slices.Contains(paths, before) {
				paths = append(paths, before)
			}
		}
	}
	return paths
}

// undo returns a path that a rewrite makes path of.
func undo(h *rewrite.Rewrite, path string) (string, bool) {
	if prefix := h.StripPathPrefix; prefix != "" && !hasPlaceholder(prefix) {
		prefix = "/" + strings.Trim(prefix, "/")
		// Who writes /api/session inside of handle_path /api/* does not mean
		// /api/api/session.
		return prefix + path, !strings.HasPrefix(path, prefix+"/")
	}
	uri, _, _ := strings.Cut(h.URI, "?")
	for _, placeholder := range []string{"{http.request.uri}", pathPlaceholder} {
		if added, ok := strings.CutSuffix(uri, placeholder); ok && !hasPlaceholder(added) {
			before, found := strings.CutPrefix(path, added)
			return before, found && strings.HasPrefix(before, "/")
		}
	}
	for _, replacement := range h.URISubstring {
		if replacement.Replace != "" && strings.Contains(path, replacement.Replace) {
			return strings.Replace(path, replacement.Replace, replacement.Find, 1), true
		}
	}
	return "", false
}

// fitsChain reports whether the matchers on the way can let a request for path
// through, whatever else stands there.
func (w *walk) fitsChain(path string) bool {
	s := state{path: path, askedFor: path}
	apply := func(handlers []any) {
		for _, handler := range handlers {
			if change, ok := handler.(*rewrite.Rewrite); ok {
				w.change(change, &s)
			}
		}
	}
	for _, level := range w.chain.levels {
		for j := range level.routes[:level.index] {
			route := &level.routes[j]
			if !route.Terminal && w.matches(route, &s) != no {
				apply(w.handlersOf(route))
			}
		}
		if w.matches(level.route(), &s) == no {
			return false
		}
		apply(w.handlersOf(level.route())[:level.position])
	}
	return true
}

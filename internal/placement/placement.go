// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package placement tells, when a config is loaded, what stands between a site's
// visitors and a handler: what answers before it, changes the path or replaces its
// headers, and whether the site's sign-in was left out.
//
// It follows the request that the handler wants through Caddy's own routes. What
// depends on a request, on guest modules or on files that are not there is unsure,
// and of what is unsure it says nothing.
package placement

import (
	"cmp"
	"context"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Handler is what must be known of the handler whose place is looked at.
type Handler struct {
	// Module is the handler itself, which is being provisioned.
	Module caddyhttp.MiddlewareHandler

	// Methods are those that it answers. None stands for POST.
	Methods []string

	// TrustedOrigins are the origins to which it sends CORS headers.
	TrustedOrigins []string

	// PassThru tells whether it calls the next handler.
	PassThru bool
}

// Place is which requests lead to a handler, by host and path. It is the same for
// every load of a config and on every port, and however the routes are nested.
type Place struct {
	// Hosts are the host names, sorted, in lower case and with the wildcards of the
	// config. None means any.
	Hosts []string

	// Paths are the paths that clients ask for, sorted, with the wildcards of the
	// config. None means any.
	Paths []string
}

// String returns the place in a form that is equal for equal places only.
func (p Place) String() string {
	return cmp.Or(strings.Join(p.Hosts, " "), "*") + " " + cmp.Or(strings.Join(p.Paths, " "), "*")
}

// maxSteps bounds how many routes are looked at for one handler, which takes half a
// microsecond each, or rewriteSteps times that for a rewrite. A site has some dozens;
// what needs more than this is unsure.
const (
	maxSteps     = 10_000
	rewriteSteps = 8
)

// Of returns the place of a handler and warnings about it, each a sentence. It must
// be called while the handler is being provisioned with ctx, and before it changes
// its own config.
func Of(ctx caddy.Context, handler Handler) (place Place, warnings []string) {
	// A tree that nobody thought of must not keep a config from being loaded.
	defer func() {
		if recover() != nil {
			warnings = nil
		}
	}()
	w := newWalk(ctx, handler)
	place = w.place()
	if w.chain.complete {
		warnings = w.warnings()
	}
	return place, warnings
}

// walk is one look at the place of a handler.
type walk struct {
	ctx     caddy.Context
	handler Handler
	name    string // of the handler, as its directive
	server  *caddyhttp.Server
	chain   chain

	// What was made of configs, so that it is made once.
	modules  map[*caddyhttp.Route][]any
	matchers map[*caddyhttp.Route]caddyhttp.MatcherSets
	negated  map[*caddyhttp.MatchNot][]caddyhttp.MatcherSet
	rewrites []directRewrite
	named    map[string]caddyhttp.RouteList

	disk    disk
	request *http.Request
	steps   int

	// beyond makes the handler pass on every request, to see what would answer
	// without it.
	beyond bool
}

func newWalk(ctx caddy.Context, handler Handler) *walk {
	w := &walk{
		ctx:      ctx,
		handler:  handler,
		name:     moduleName(handler.Module),
		modules:  make(map[*caddyhttp.Route][]any),
		matchers: make(map[*caddyhttp.Route]caddyhttp.MatcherSets),
		negated:  make(map[*caddyhttp.MatchNot][]caddyhttp.MatcherSet),
		named:    make(map[string]caddyhttp.RouteList),
		disk:     disk{found: make(map[string]fs.FileInfo)},
	}
	if len(w.handler.Methods) == 0 {
		w.handler.Methods = []string{http.MethodPost}
	}
	// Matchers look these up, and those that are asked here put nothing into them
	// but the groups of regular expressions.
	vars := context.WithValue(context.Background(), caddyhttp.VarsCtxKey, map[string]any{})
	vars = context.WithValue(vars, caddy.ReplacerCtxKey, caddy.NewEmptyReplacer())
	w.request = (&http.Request{Header: http.Header{}, URL: new(url.URL)}).WithContext(vars)

	w.server, _ = ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	w.findChain()
	w.findRewrites()
	return w
}

// requestFor returns the request as matchers see it in a state.
func (w *walk) requestFor(s *state) *http.Request {
	if r := w.request; r.Method == s.method && r.Host == s.host && r.URL.Path == s.path {
		return r
	}
	r := *w.request
	r.Method, r.Host = s.method, s.host
	r.URL = &url.URL{Path: s.path}
	w.request = &r
	return w.request
}

func (w *walk) place() Place {
	var paths []string
	for _, target := range w.targets() {
		fitting := slices.DeleteFunc(slices.Clone(target.clientPaths), func(path string) bool { return !w.fitsChain(path) })
		if len(fitting) == 0 && target.path != "" {
			fitting = []string{target.path}
		}
		paths = append(paths, fitting...)
	}
	slices.Sort(paths)
	return Place{w.chain.hosts(w), slices.Compact(paths)}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
)

// state is what is known of the request at one place of its way. It is copied where
// the way divides.
type state struct {
	method, host, path string // nothing where it is not known
	askedFor           string // the path before anything changed it

	groups map[string]answer // which groups have had their route
	vars   map[string]string // unknownVar where the value is not known

	file      string // what the last file matcher found, below its root
	fileBy    string // the directive that such a matcher is of
	fileError bool   // instead of which it fails the request
	missing   bool   // or whether all of its files are not there

	at       any     // the handler that has it
	block    *block  // the innermost one that does not lead to the handler
	changed  *change // the last that changed the path
	signedIn answer
	headers  []*headers.RespHeaderOps // deferred, in the order in which they are met
	assumed  bool                     // whether matchers on the way were taken to match
	doubtful bool                     // whether something was met that may do anything
	invoked  int                      // named routes
	catches  bool                     // whether an error would be sent on through other routes
}

// block is a group of routes that does not lead to the handler.
type block struct {
	kind    string // its directive, as far as that can be told
	pattern string // of its paths
}

// change is something that changes the path of the request.
type change struct {
	by, from, to string
	strips       bool   // whether it takes a prefix away, as handle_path does
	block        *block // that it stands in
}

const (
	unknownVar = "{unknown}"
	maxInvoked = 8
)

func (s *state) setVar(name, value string, certain answer) {
	s.vars = maps.Clone(s.vars)
	if s.vars == nil {
		s.vars = make(map[string]string)
	}
	expanded, ok := s.expand(value)
	if !ok || certain != yes {
		expanded = unknownVar
	}
	s.vars[name] = expanded
}

func (s *state) setVars(m caddyhttp.VarsMiddleware, certain answer) {
	for name, value := range m {
		if text, ok := value.(string); ok && !hasPlaceholder(name) {
			s.setVar(name, text, certain)
			continue
		}
		s.setVar(name, unknownVar, no)
	}
}

func (s *state) satisfy(group string, certain answer) {
	if group == "" {
		return
	}
	s.groups = maps.Clone(s.groups)
	if s.groups == nil {
		s.groups = make(map[string]answer)
	}
	s.groups[group] = max(s.groups[group], certain)
}

func (s *state) deferHeaders(ops *headers.RespHeaderOps) {
	s.headers = append(slices.Clip(s.headers), ops)
}

// onDisk reports whether files are looked for on the local disk.
func (s *state) onDisk(fileSystem string) bool {
	_, hasVar := s.vars["fs"]
	return fileSystem == "" || fileSystem == "{http.vars.fs}" && !hasVar
}

// expand replaces the placeholders whose value does not depend on the request. It
// fails when there are others.
func (s *state) expand(text string) (string, bool) {
	if !hasPlaceholder(text) {
		return text, true
	}
	repl := caddy.NewEmptyReplacer()
	repl.Map(func(name string) (any, bool) {
		switch name {
		case "http.request.uri.path", "http.request.uri":
			return s.path, s.path != ""
		case "http.request.orig_uri.path", "http.request.orig_uri":
			return s.askedFor, s.askedFor != ""
		case "http.request.host":
			return s.host, s.host != ""
		case "http.matchers.file.relative":
			return s.file, s.file != ""
		}
		if name, ok := strings.CutPrefix(name, "env."); ok {
			return os.Getenv(name), true
		}
		if name, ok := strings.CutPrefix(name, "http.vars."); ok {
			value, isSet := s.vars[name]
			return value, value != unknownVar && (isSet || name == "root")
		}
		return nil, false
	})
	expanded, err := repl.ReplaceOrErr(text, false, true)
	return expanded, err == nil
}

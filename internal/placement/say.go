// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// What is advised puts the handler behind the sign-in of the block that it goes
// into, if there is one. Nothing else is advised: who follows it blindly must not
// open the endpoint to everybody.

// neverReached says why no request for a target arrives. What answers it or changes
// its path tells more than that another host or path does not fit.
func (w *walk) neverReached(failed []*arrival) string {
	at := failed[0]
	for _, other := range failed {
		if other.end != excluded && at.end == excluded {
			at = other
		}
	}
	var hosts []string
	for _, other := range failed {
		if other.named && other.end == at.end && other.by == at.by && !slices.Contains(hosts, other.askedAt) {
			hosts = append(hosts, other.askedAt)
		}
	}
	subject := fmt.Sprintf("%s %s%s never reaches %s: ", w.handler.Methods[0], pathText(at), atHosts(hosts), w.name)
	switch at.end {
	case taken:
		return subject + w.sayTaken(at)
	case changed:
		return subject + w.sayChanged(at)
	}
	return subject + w.sayExcluded(at)
}

// pathText names the path of a target, as clients ask for it where that is one.
func pathText(at *arrival) string {
	switch {
	case at.asked.path == "":
		return "to any path"
	case strings.Contains(at.asked.path, "*"):
		return at.asked.path
	}
	return at.path
}

// maxNamedHosts is how many hosts a sentence names.
const maxNamedHosts = 3

func atHosts(hosts []string) string {
	switch {
	case len(hosts) == 0:
		return ""
	case len(hosts) > maxNamedHosts:
		return fmt.Sprintf(" at %s and %d other hosts", strings.Join(hosts[:maxNamedHosts], ", "), len(hosts)-maxNamedHosts)
	}
	return " at " + strings.Join(hosts, ", ")
}

// directive returns the line to write where the path of the request is path.
func (w *walk) directive(at *arrival, path string) string {
	if strings.Contains(at.asked.path, "*") {
		path = at.asked.path
	}
	if at.asked.path == "" {
		return w.name
	}
	return w.name + " " + path
}

// leaveOut advises to keep a path from a directive.
func leaveOut(directive, path string) string {
	return fmt.Sprintf("keep %s from %s by a matcher (@other not path %[1]s, then %[2]s @other …)", path, directive)
}

func (w *walk) sayTaken(at *arrival) string {
	c := at.changed
	line := w.directive(at, at.outcome.path)
	if c != nil && c.by == at.by { // php_fastcgi, which changes paths for itself
		line = w.directive(at, c.from)
	}
	switch {
	case at.by == "" && at.block == nil:
		return "a site block or terminal route before it takes all requests like it; move it into that block"
	case at.by == "handle":
		return "a handle block before it takes these requests, and Caddy uses only the first one that does; move it into that block"
	case at.by == "try_files":
		return "try_files ends it with an error first; " + w.giveOwnHandle(at.by, at.path, "in its place")
	case strings.HasPrefix(at.by, "another "):
		return at.by + " before it answers the same requests; remove one of the two, or give them different paths"
	case at.block != nil && c != nil && c.block == at.block && c.by != at.by && !c.strips:
		return fmt.Sprintf("%s changes the path to %s in %s before it, where %s then answers; %s",
			c.by, c.to, at.block.text(), at.by, w.giveOwnHandle(c.by, c.from, "in that block"))
	case at.block != nil && movesAhead(at.by):
		return fmt.Sprintf("%s in %s before it answers first; %s and move it into that block as %s",
			at.by, at.block.text(), leaveOut(at.by, at.outcome.path), line)
	case at.block != nil:
		return fmt.Sprintf("%s in %s before it answers first; move it into that block as %s, after the sign-in if there is one and before %[1]s",
			at.by, at.block.text(), line)
	case movesAhead(at.by) && at.asked.path != "":
		return fmt.Sprintf("%s before it answers first; %s", at.by, leaveOut(at.by, at.outcome.path))
	}
	return fmt.Sprintf("%s before it answers first; write %s before %[1]s and after the sign-in if there is one", at.by, line)
}

// giveOwnHandle advises two handles beside each other, so that whatever changes the
// path does so in the other one.
func (w *walk) giveOwnHandle(by, path, where string) string {
	return fmt.Sprintf("%s, write handle %s { %s } and beside it handle { } with %s and what comes after it, both after the sign-in if there is one",
		where, path, w.name, by)
}

// movesAhead reports whether Caddy puts a directive before this one wherever it is
// written, outside of route.
func movesAhead(directive string) bool {
	return slices.Contains([]string{"redir", "error", "abort"}, directive)
}

func (b *block) text() string {
	if b.pattern != "" {
		return b.kind + " for " + b.pattern
	}
	return b.kind
}

func (w *walk) sayChanged(at *arrival) string {
	if at.by == "method" {
		return fmt.Sprintf("the method directive makes it %s first; give that a matcher which leaves %s out", at.method, at.path)
	}
	c := at.changed
	switch {
	case c.strips:
		return fmt.Sprintf("%s is taken away from its path before it (handle_path or uri strip_prefix), which leaves %s; write %s",
			strings.TrimSuffix(c.from, c.to), c.to, w.directive(at, c.to))
	case c.by == "try_files":
		return fmt.Sprintf("try_files changes the path to %s first; %s", c.to, w.giveOwnHandle(c.by, c.from, "in its place"))
	case c.by == "php_fastcgi":
		return fmt.Sprintf("php_fastcgi changes the path to %s first; write %s before php_fastcgi and after the sign-in if there is one", c.to, w.directive(at, c.from))
	}
	return fmt.Sprintf("%s changes the path to %s first; %s", c.by, c.to, leaveOut(c.by, c.from))
}

func (w *walk) sayExcluded(at *arrival) string {
	pattern := w.patternOf(at.excludes)
	inner := at.asked.path
	foreign := ""
	w.eachMatcher(w.matchersOf(at.excludes), false, func(matcher any, negated bool) {
		if hosts, ok := matcher.(*caddyhttp.MatchHost); ok && !negated && w.match(hosts, &state{host: at.askedAt}) == no {
			foreign = strings.Join(*hosts, " ")
		}
		if method, ok := matcher.(*caddyhttp.MatchMethod); ok && !negated && !slices.Contains(*method, at.method) {
			inner, pattern = "", strings.Join(*method, " ")
		}
	})
	prefix, isPrefix := strings.CutSuffix(pattern, "/*")
	switch {
	case foreign != "":
		return fmt.Sprintf("its matcher lets only the host %s through, which does not lead there; name a host of this site in it", foreign)
	case inner == "" && pattern != "":
		return fmt.Sprintf("its matcher lets only %s through; make methods and matcher fit each other", pattern)
	case isPrefix && !strings.Contains(prefix, " "):
		return fmt.Sprintf("the handle block or matcher around it lets only %s through and takes nothing away from the path; write handle_path %[1]s for that block, or %s %s%s in it",
			pattern, w.name, prefix, inner)
	case pattern != "":
		return fmt.Sprintf("the handle block or matcher around it lets only %s through; write one path in both places", pattern)
	}
	return "the matchers around it exclude each other; move it into a block that this request gets into"
}

func (w *walk) sayWithoutSignIn(at *arrival, signIn string) string {
	hosts := []string{}
	if at.named {
		hosts = append(hosts, at.host)
	}
	return fmt.Sprintf("%s %s%s gives tokens to anybody: visitors of this site sign in by %s, but not for that path; move it into the block of that %s as %s, after it and before what answers there",
		w.handler.Methods[0], pathText(at), atHosts(hosts), signIn, signIn, w.directive(at, at.path))
}

func (w *walk) sayCacheControl(at *arrival, value string) string {
	const ofAnswers = "the Cache-Control: no-store of the answers to"
	asked := w.handler.Methods[0] + " " + pathText(at)
	if value == "" {
		return fmt.Sprintf("a deferred header directive deletes %s %s, so that a token may be kept in a cache; %s", ofAnswers, asked, leaveOut("header", at.path))
	}
	return fmt.Sprintf("a deferred header directive replaces %s %s by %s, so that a token may be kept in a cache; write Cache-Control in a header directive of its own, without > and defer (one that also deletes a field, such as -Server, is deferred with all its fields)",
		ofAnswers, asked, value)
}

func (w *walk) sayAllowOrigin(at *arrival, value string) string {
	if value == "" {
		value = "nothing"
	}
	return fmt.Sprintf("a deferred header directive makes the Access-Control-Allow-Origin of the answers to %s %s %s, which browsers refuse for trusted_origins; %s",
		w.handler.Methods[0], pathText(at), value, leaveOut("header", at.path))
}

func (w *walk) sayHidesSite(by string) string {
	return fmt.Sprintf("%s without a matcher takes every request, so that %s after it is never reached; write a path after it, such as %[1]s /session", w.name, by)
}

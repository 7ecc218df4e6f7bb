// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
)

// answer is whether something holds for a request of which only some is known.
type answer int

const (
	no answer = iota
	maybe
	yes
)

func answerOf(holds bool) answer {
	if holds {
		return yes
	}
	return no
}

// matches reports whether a route takes the request. It keeps in s what a file
// matcher found.
func (w *walk) matches(route *caddyhttp.Route, s *state) answer {
	return w.anyMatches(w.matchersOf(route), s)
}

func (w *walk) anyMatches(sets []caddyhttp.MatcherSet, s *state) answer {
	if len(sets) == 0 {
		return yes
	}
	best := no
	for _, set := range sets {
		before := best
		if best = max(best, w.allMatch(set, s)); best != yes {
			continue
		}
		if s.fileError && before == maybe {
			s.fileError, s.doubtful = false, true
		}
		break
	}
	return best
}

func (w *walk) allMatch(set caddyhttp.MatcherSet, s *state) answer {
	worst := yes
	for _, matcher := range set {
		worst = min(worst, w.match(matcher, s))
	}
	// Caddy asks the matchers of a set in any order: the others may come before the
	// one that fails the request.
	if s.fileError && worst != yes {
		s.fileError, s.doubtful = false, true
		return maybe
	}
	return worst
}

// match asks the matchers that look at nothing but what s knows. All others, those
// of guests among them, depend on the request, and asking them might have effects.
func (w *walk) match(matcher any, s *state) answer {
	switch m := matcher.(type) {
	case *caddyhttp.MatchHost:
		return w.askIf(s.host != "" && !slices.ContainsFunc(*m, hasPlaceholder), m, s)
	case *caddyhttp.MatchPath:
		return w.askIf(s.path != "" && !slices.ContainsFunc(*m, hasPlaceholder), m, s)
	case *caddyhttp.MatchPathRE:
		return w.askIf(s.path != "", m, s)
	case *caddyhttp.MatchMethod:
		return w.askIf(s.method != "", m, s)
	case *caddyhttp.MatchNot:
		return yes - w.anyNegated(m, s)
	case *fileserver.MatchFile:
		return w.matchFile(m, s)
	}
	return maybe
}

func (w *walk) askIf(known bool, matcher caddyhttp.RequestMatcherWithError, s *state) answer {
	if !known {
		return maybe
	}
	matches, err := matcher.MatchWithError(w.requestFor(s))
	if err != nil {
		return maybe
	}
	return answerOf(matches)
}

func (w *walk) anyNegated(m *caddyhttp.MatchNot, s *state) answer {
	sets := w.setsOf(m)
	if len(sets) == 0 {
		return no
	}
	// What a file matcher finds in there is not for the route.
	inside := *s
	matches := w.anyMatches(sets, &inside)
	if inside.fileError || inside.doubtful {
		s.doubtful = true
		return maybe
	}
	return matches
}

func (w *walk) setsOf(m *caddyhttp.MatchNot) []caddyhttp.MatcherSet {
	if len(m.MatcherSetsRaw) == 0 {
		return m.MatcherSets
	}
	if sets, ok := w.negated[m]; ok {
		return sets
	}
	sets := w.decodeMatchers(m.MatcherSetsRaw)
	w.negated[m] = sets
	return sets
}

func hasPlaceholder(s string) bool { return strings.Contains(s, "{") }

// eachMatcher calls visit for all matchers of sets, the negated ones too.
func (w *walk) eachMatcher(sets []caddyhttp.MatcherSet, negated bool, visit func(matcher any, negated bool)) {
	for _, set := range sets {
		for _, matcher := range set {
			if not, ok := matcher.(*caddyhttp.MatchNot); ok {
				w.eachMatcher(w.setsOf(not), !negated, visit)
				continue
			}
			visit(matcher, negated)
		}
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package limittest

import (
	"errors"
	"slices"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
)

// model says which answers of a store can be right. When the store took a token it
// knows only from when to when: in a bubble of synctest that is one moment, and the
// model exact.
type model struct {
	*suite
	tokens   map[string][]*token // by claim, in order
	refusals int
}

// token was taken at some time from earliest to latest.
type token struct{ earliest, latest time.Time }

// flight is what came of a take.
type flight struct {
	taken  limit.Taken
	tokens map[string]*token
}

func (m *model) take(claims []limit.Claim) (*flight, *limit.RefusedError) {
	m.Helper()
	asked := time.Now()
	taken, err := m.store.Take(m.Context(), "model", claims)
	now := &token{earliest: asked, latest: time.Now()}
	if err == nil {
		flight := &flight{taken: taken, tokens: make(map[string]*token)}
		for _, claim := range claims {
			if surely, _ := m.counting(claim, now); len(surely) >= claim.Count {
				m.Fatalf("%+v: got a token, with %d taken already", claim, len(surely))
			}
			key := claim.Hash()
			flight.tokens[key] = now
			m.tokens[key] = append(m.tokens[key], now)
		}
		return flight, nil
	}
	m.refusals++
	refusal, ok := errors.AsType[*limit.RefusedError](err)
	if !ok {
		m.Fatal(err)
	}
	m.checkRefusal(claims, refusal, now)
	return nil, refusal
}

func (m *model) checkRefusal(claims []limit.Claim, refusal *limit.RefusedError, now *token) {
	m.Helper()
	if len(refusal.Limits) == 0 {
		m.Fatal("refused by no limit")
	}
	var shortest, longest time.Duration
	for i, claim := range claims {
		surely, perhaps := m.counting(claim, now)
		refused := slices.Contains(refusal.Limits, i)
		if refused && len(perhaps) < claim.Count {
			m.Fatalf("%+v: refused, with %d taken", claim, len(perhaps))
		}
		if !refused && len(surely) >= claim.Count {
			m.Fatalf("%+v: not refused, with %d taken", claim, len(surely))
		}
		if !refused {
			continue
		}
		// The token that has to go first, counted from the youngest, is the same one in
		// both lists.
		next := perhaps[len(perhaps)-claim.Count]
		shortest = max(shortest, next.earliest.Add(claim.Window).Sub(now.latest))
		longest = max(longest, next.latest.Add(claim.Window).Sub(now.earliest))
	}
	if refusal.Wait <= 0 || refusal.Wait < shortest || refusal.Wait > longest {
		m.Fatalf("got the wait %s, want it from %s to %s", refusal.Wait, shortest, longest)
	}
}

// counting returns the tokens that count for a claim at some time of now: those that
// do surely, and those that do perhaps.
func (m *model) counting(claim limit.Claim, now *token) (surely, perhaps []*token) {
	for _, token := range m.tokens[claim.Hash()] {
		if now.latest.Sub(token.earliest) < claim.Window {
			surely = append(surely, token)
		}
		if now.earliest.Sub(token.latest) < claim.Window {
			perhaps = append(perhaps, token)
		}
	}
	return surely, perhaps
}

func (m *model) giveBack(f *flight) {
	f.taken.GiveBack()
	for key, given := range f.tokens {
		m.tokens[key] = slices.DeleteFunc(m.tokens[key], func(t *token) bool { return t == given })
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package limittest tests implementations of [limit.Store].
package limittest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
)

// Run tests a store. Windows in the tests are a few times unit long, and are waited
// for: where time is real, unit must be much longer than a call of the store takes,
// and there run should call [testing.T.Parallel].
//
// Each test is given to run, which calls it with an empty store. For a store that
// counts in this process, run can do so in a bubble of testing/synctest: the tests
// are then exact to the nanosecond and take no time.
func Run(t *testing.T, unit time.Duration, run func(t *testing.T, test func(*testing.T, limit.Store))) {
	t.Helper()
	for _, test := range []struct {
		name string
		test func(*suite)
	}{
		{"lets the count through in any window", (*suite).slides},
		{"takes a token of each limit or of none", (*suite).takesAllOrNone},
		{"says the longest wait, and who refused", (*suite).saysWhoRefused},
		{"keeps clients, names, windows and scopes apart", (*suite).keepsApart},
		{"gives back once, and what was taken", (*suite).givesBackOnce},
		{"gives back nothing that is older than the window", (*suite).givesBackLate},
		{"holds another count for what was taken before", (*suite).changesCount},
		{"lets exactly the count through at once", (*suite).holdsAtOnce},
		{"is right about random takes and give-backs", (*suite).agreesWithModel},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(t *testing.T, store limit.Store) {
				t.Helper()
				test.test(&suite{T: t, store: store, unit: unit})
			})
		})
	}
}

type suite struct {
	*testing.T
	store limit.Store
	unit  time.Duration
}

// claim is a claim of a limit of one window.
func (s *suite) claim(name string, count int) limit.Claim {
	return s.claimFor("alice", name, count)
}

func (s *suite) claimFor(client, name string, count int) limit.Claim {
	return limit.Claim{Limit: limit.Limit{Name: name, Count: count, Window: 2 * s.unit}, Client: client}
}

func (s *suite) take(claims ...limit.Claim) limit.Taken {
	s.Helper()
	taken, err := s.store.Take(s.Context(), "scope", claims)
	if err != nil {
		s.Fatalf("got %v, want a token", err)
	}
	return taken
}

func (s *suite) refused(claims ...limit.Claim) {
	s.Helper()
	_ = s.refusal(claims...)
}

func (s *suite) refusal(claims ...limit.Claim) *limit.RefusedError {
	s.Helper()
	taken, err := s.store.Take(s.Context(), "scope", claims)
	refusal, ok := errors.AsType[*limit.RefusedError](err)
	if !ok {
		s.Fatalf("got %v, %v, want a refusal", taken, err)
	}
	return refusal
}

func (s *suite) slides() {
	first := time.Now()
	s.take(s.claim("", 3))
	time.Sleep(s.unit)
	s.take(s.claim("", 3))
	s.take(s.claim("", 3))
	refusal := s.refusal(s.claim("", 3))
	time.Sleep(refusal.Wait)
	if waited := time.Since(first); waited < 2*s.unit {
		s.Errorf("the first token was to be free after %s, in a window of %s", waited, 2*s.unit)
	}
	s.take(s.claim("", 3))
	s.refused(s.claim("", 3))
	time.Sleep(2 * s.unit)
	for range 3 {
		s.take(s.claim("", 3))
	}
}

func (s *suite) takesAllOrNone() {
	small, large := s.claim("small", 1), s.claim("large", 2)
	s.take(small, large)
	for range 5 {
		s.refused(small, large)
		s.refused(large, small)
	}
	s.take(large)
	s.refused(large)
}

func (s *suite) saysWhoRefused() {
	free, first, later := s.claim("free", 9), s.claim("first", 1), s.claim("later", 1)
	s.take(first)
	time.Sleep(s.unit)
	s.take(later)
	refusal := s.refusal(first, free, later)
	if !slices.Equal(refusal.Limits, []int{0, 2}) {
		s.Errorf("%v refused, want 0 and 2", refusal.Limits)
	}
	if refusal.Wait <= s.unit || refusal.Wait > 2*s.unit {
		s.Errorf("got the wait %s, want that of the later one, up to %s", refusal.Wait, 2*s.unit)
	}
	time.Sleep(refusal.Wait)
	s.take(first, free, later)
}

func (s *suite) keepsApart() {
	claim := s.claim("limit", 1)
	s.take(claim)
	s.take(s.claimFor("bob", "limit", 1))
	s.take(s.claimFor("", "limit", 1))
	s.take(s.claim("another", 1))
	s.take(s.claimFor("limit", "alice", 1))
	longer := claim
	longer.Window += s.unit
	s.take(longer)
	for _, scope := range []string{"another scope", ""} {
		if _, err := s.store.Take(s.Context(), scope, []limit.Claim{claim}); err != nil {
			s.Errorf("the scope %q got %v", scope, err)
		}
	}
	s.refused(claim)
	s.refused(longer)
}

func (s *suite) givesBackOnce() {
	one, two := s.claim("one", 2), s.claim("two", 2)
	taken := s.take(one, two)
	s.take(one, two)
	s.refused(one)
	for range 3 {
		taken.GiveBack()
	}
	s.take(one)
	s.refused(one)
	s.take(two)
	s.refused(two)
}

func (s *suite) givesBackLate() {
	taken := s.take(s.claim("", 2))
	time.Sleep(2 * s.unit)
	s.take(s.claim("", 2))
	s.take(s.claim("", 2))
	taken.GiveBack()
	s.refused(s.claim("", 2))
}

func (s *suite) changesCount() {
	s.take(s.claim("", 3))
	first := time.Now()
	time.Sleep(s.unit)
	s.take(s.claim("", 3))
	s.take(s.claim("", 3))
	refusal := s.refusal(s.claim("", 1))
	if refusal.Wait <= s.unit || refusal.Wait > 2*s.unit {
		s.Errorf("got the wait %s, want that of the last token, up to %s", refusal.Wait, 2*s.unit)
	}
	s.take(s.claim("", 4))
	time.Sleep(2*s.unit - time.Since(first))
	s.refused(s.claim("", 3))
	s.take(s.claim("", 4))
}

func (s *suite) holdsAtOnce() {
	const count = 20
	claims := []limit.Claim{s.claim("limit", count), s.claim("larger", count+5)}
	for i := range claims {
		claims[i].Window = time.Hour
	}
	var through atomic.Int32
	var group sync.WaitGroup
	for i := range 6 * count {
		group.Go(func() {
			taken, err := s.store.Take(s.Context(), "scope", claims)
			if err != nil {
				if _, ok := errors.AsType[*limit.RefusedError](err); !ok {
					s.Error(err)
				}
				return
			}
			if i%3 == 0 {
				taken.GiveBack()
				return
			}
			through.Add(1)
		})
	}
	group.Wait()
	// What was given back is there again.
	for range count - through.Load() {
		s.take(claims...)
	}
	s.refused(claims...)
	for range 5 {
		s.take(claims[1])
	}
	s.refused(claims[1])
}

// agreesWithModel does at random what a store is for, and has a model say whether
// the answers can be right.
func (s *suite) agreesWithModel() {
	seed := rand.Uint64() //nolint:gosec // it only has to differ from run to run
	s.Logf("the seed is %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // as above
	model := &model{suite: s, tokens: make(map[string][]*token)}
	var inFlight []*flight
	for range 400 {
		switch random.IntN(8) {
		case 0:
			time.Sleep(time.Duration(random.Int64N(int64(s.unit))))
		case 1:
			if len(inFlight) > 0 {
				// It stays in flight: a second time nothing must happen.
				model.giveBack(inFlight[random.IntN(len(inFlight))])
			}
		default:
			var claims []limit.Claim
			for _, i := range random.Perm(3)[:1+random.IntN(3)] {
				claim := s.claimFor(strconv.Itoa(random.IntN(2)), strconv.Itoa(i), 1+i+random.IntN(3))
				claim.Window = time.Duration(i+1) * s.unit
				claims = append(claims, claim)
			}
			taken, refusal := model.take(claims)
			if taken != nil {
				inFlight = append(inFlight, taken)
			} else if random.IntN(6) == 0 {
				time.Sleep(refusal.Wait)
				if taken, _ = model.take(claims); taken == nil {
					s.Fatalf("refused after the wait of %s", refusal.Wait)
				}
			}
		}
	}
	if model.refusals == 0 || len(inFlight) == 0 {
		s.Errorf("%d refusals and %d takes: nothing was tested", model.refusals, len(inFlight))
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import "sync"

// FaultScript says what befalls connections, or requests, one after the other. The
// zero value lets all of them be.
type FaultScript[F any] struct {
	mu      sync.Mutex
	met     int // how many there were
	first   []F // what the first of them meet
	forever F   // what all others meet
}

// Set says what the next ones meet, one after the other, and what all later ones
// do.
func (s *FaultScript[F]) Set(forever F, first ...F) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first, s.forever = first, forever
}

func (s *FaultScript[F]) next() F {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.met++
	if len(s.first) == 0 {
		return s.forever
	}
	fault := s.first[0]
	s.first = s.first[1:]
	return fault
}

// Count returns how many there were so far.
func (s *FaultScript[F]) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.met
}

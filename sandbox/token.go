// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"crypto/rand"
	"maps"
	"time"
)

const valuePrefix = "xai-realtime-client-secret-"

// issue makes a token that lives from now on.
func (s *Server) issue(lifetime time.Duration) (token string, expires time.Time) {
	token = valuePrefix + rand.Text()
	now := time.Now()
	expires = now.Add(lifetime)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens == nil {
		s.tokens = make(map[string]time.Time)
	}
	// Once in a while is enough to bound the map, and cheap however large it is.
	if now.Sub(s.swept) > time.Minute {
		maps.DeleteFunc(s.tokens, func(_ string, expires time.Time) bool { return now.After(expires) })
		s.swept = now
	}
	s.tokens[token] = expires
	return token, expires
}

// redeem reports whether token can open a session, which it can once.
func (s *Server) redeem(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	expires, ok := s.tokens[token]
	delete(s.tokens, token)
	return ok && time.Now().Before(expires)
}

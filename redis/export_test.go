// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit

import "time"

// SetClock has the store believe that the server's clock is so far from what it is.
func (s *Store) SetClock(ahead time.Duration) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.known, s.clock.ahead = true, time.Duration(time.Now().UnixNano())+ahead-time.Since(s.clock.start)
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit_test

// hang has nothing to stop a process with here.
func (s *server) hang() (resume func()) {
	s.t.Skip("a process cannot be stopped for a while here")
	return nil
}

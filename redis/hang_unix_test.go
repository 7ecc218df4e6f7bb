// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redislimit_test

import "syscall"

// hang stops the server without ending it; it goes on when resume is called.
func (s *server) hang() (resume func()) {
	s.t.Helper()
	if err := s.process.Process.Signal(syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	return func() { _ = s.process.Process.Signal(syscall.SIGCONT) }
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// ReadFile returns the content of a file in the test's directory, nothing while
// there is none.
func (s *Server) ReadFile(name string) string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.Dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(content)
}

// WriteFile puts a file into the test's directory.
func (s *Server) WriteFile(name, content string) {
	s.t.Helper()
	WriteFile(s.t, filepath.Join(s.Dir, name), content)
}

// WriteFile writes a file that nobody else can read.
func WriteFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Root returns the directory of this repository, in which README.md and examples
// are. Tests start in that of their package.
func Root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("the test runs outside of the repository")
		}
		dir = parent
	}
}

// ReadRepoFile returns the content of a file of this repository.
func ReadRepoFile(t *testing.T, elements ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{Root(t)}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

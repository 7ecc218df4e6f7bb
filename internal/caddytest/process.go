// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// OwnBinary returns the binary of the test, which Command can run as Caddy.
func OwnBinary(t *testing.T) string {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// StartBinary runs a Caddy in a process of its own until the test ends, and waits
// until it serves on the address of its site. The server's Dir is its home, and
// all that it prints is in output.log there.
func StartBinary(t *testing.T, binary string, args []string, site string, environ ...string) *Server {
	t.Helper()
	admin := FreeAddresses(t, 1)[0]
	s := &Server{t: t, URL: "http://" + site, AdminURL: "http://" + admin, Dir: t.TempDir(), Client: NewClient(t)}
	command := s.Command(binary, args...)
	command.Env = append(command.Env, "XAI_API_KEY="+Key, "CADDY_ADMIN="+admin)
	command.Env = append(command.Env, environ...)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // when t.Context has ended the process
		_ = command.Wait()
		if t.Failed() {
			t.Log(s.ReadFile("output.log"))
		}
	})
	Eventually(t, "Caddy serves", func() bool {
		_, err := s.Try(t.Context(), http.MethodGet, s.URL)
		return err == nil
	})
	return s
}

// Command prepares one of Caddy's commands, to run in Root with the server's Dir as
// its home.
func (s *Server) Command(binary string, args ...string) *exec.Cmd {
	s.t.Helper()
	output, err := os.OpenFile(filepath.Join(s.Dir, "output.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = output.Close() })
	command := exec.CommandContext(s.t.Context(), binary, args...) //nolint:gosec // our own binary
	command.Dir = Root(s.t)
	command.Stdout, command.Stderr = output, output
	// Little of this process's environment, since --environ prints it.
	command.Env = []string{asCaddy + "=yes", "HOME=" + s.Dir,
		"XDG_DATA_HOME=" + filepath.Join(s.Dir, "data"), "XDG_CONFIG_HOME=" + filepath.Join(s.Dir, "config")}
	for _, name := range []string{"PATH", "SystemRoot", "TEMP", "TMP"} {
		command.Env = append(command.Env, name+"="+os.Getenv(name))
	}
	return command
}

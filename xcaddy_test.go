// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

//go:build xcaddy

package xaitoken_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestXcaddy builds Caddy as users do, and mints a token with what comes out. It
// takes a while, so it has a build tag: go test -tags xcaddy -run Xcaddy .
func TestXcaddy(t *testing.T) {
	const module = "github.com/caddy-xai/caddy-xai-ephemeral-token"
	binary := filepath.Join(t.TempDir(), "caddy")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	version := strings.TrimSpace(run(t, "go", "list", "-m", "-f", "{{.Version}}", "github.com/caddyserver/caddy/v2"))
	run(t, "go", "tool", "xcaddy", "build", version, "--with", module+"@v0.0.0=.", "--output", binary)

	t.Run("adds one module to Caddy's own", func(t *testing.T) {
		if got := strings.Fields(run(t, binary, "list-modules", "--skip-standard")); len(got) < 2 ||
			got[0] != "http.handlers.xai_ephemeral_token" || got[1] != "Non-standard" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("mints", func(t *testing.T) {
		up, site := newUpstream(t), freeAddresses(t, 1)[0]
		s := &caddyServer{t: t, url: "http://" + site, dir: t.TempDir(), client: newHTTPClient(t)}
		s.writeFile("Caddyfile", `
{
	admin off
	persist_config off
	storage file_system `+filepath.ToSlash(s.dir)+`
}
http://`+site+` {
	xai_ephemeral_token /session {
		endpoint `+up.endpoint()+`
	}
}
`)
		ctx, cancel := context.WithCancel(t.Context())
		command := exec.CommandContext(ctx, binary, "run", "--config", filepath.Join(s.dir, "Caddyfile"))
		command.Env = append(os.Environ(), "XAI_API_KEY="+testKey)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			cancel()
			_ = command.Wait()
		}()
		eventually(t, "Caddy serves", func() bool {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := s.client.Do(req)
			if err != nil {
				return false
			}
			resp.Body.Close()
			return true
		})
		decodeToken(t, s.post())
	})
}

// run runs a command and returns what it prints.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
	return string(output)
}

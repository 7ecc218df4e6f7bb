// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

//go:build xcaddy

package xcaddy

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestXcaddy builds Caddy as users do, by the very command of the Dockerfile in
// examples/, and mints a token with what comes out. It takes a while, so it has a
// build tag: go test -tags xcaddy ./integration/xcaddy
func TestXcaddy(t *testing.T) {
	command := caddytest.DockerfileCommand(t)
	if version := run(t, "go", "list", "-m", "-f", "{{.Version}}", "github.com/caddyserver/caddy/v2"); command[2] != strings.TrimSpace(version) {
		t.Errorf("the Dockerfile builds Caddy %s and go.mod %s", command[2], version)
	}
	binary := xcaddy(t, command[1:]...)
	t.Run("adds one module to Caddy's own", func(t *testing.T) {
		if got := strings.Fields(run(t, binary, "list-modules", "--skip-standard")); len(got) < 2 ||
			got[0] != "http.handlers.xai_ephemeral_token" || got[1] != "Non-standard" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("builds the same again", func(t *testing.T) {
		if first, second := checksum(t, binary), checksum(t, xcaddy(t, command[1:]...)); first != second {
			t.Errorf("got %x and %x", first, second)
		}
	})
	t.Run("mints with the Caddyfile of the image", func(t *testing.T) {
		up, site := caddytest.NewUpstream(t), caddytest.FreeAddresses(t, 1)[0]
		key := filepath.Join(t.TempDir(), "xai_api_key")
		caddytest.WriteFile(t, key, caddytest.Key+"\n")
		s := caddytest.StartBinary(t, binary, []string{"run", "--config", filepath.Join("examples", "docker", "Caddyfile")}, site,
			"SITE_ADDRESS=http://"+site, "XAI_URL="+up.URL, "XAI_API_KEY=", "XAI_API_KEY_FILE="+filepath.ToSlash(key))
		up.MustOpenOneSession(t, caddytest.DecodeToken(t, s.Post()).Value)
	})
}

// xcaddy runs xcaddy with the plugin as it stands here, and returns what it built.
func xcaddy(t *testing.T, arguments ...string) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "caddy")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	all := []string{"tool", "xcaddy"}
	for _, argument := range arguments {
		switch argument {
		case caddytest.Module:
			argument += "@v0.0.0=."
		case caddytest.Module + "/redis":
			argument += "@v0.0.0=./redis"
		}
		all = append(all, argument)
	}
	run(t, "go", append(all, "--output", binary)...)
	return binary
}

func checksum(t *testing.T, file string) [sha256.Size]byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(content)
}

// run runs a command and returns what it prints.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...) //nolint:gosec // what the examples say
	command.Dir = caddytest.Root(t)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
	return string(output)
}

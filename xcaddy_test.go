// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

//go:build xcaddy

package xaitoken_test

import (
	"context"
	"crypto/sha256"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestXcaddy builds Caddy as users do, by the very command of the Dockerfile in
// examples/, and mints a token with what comes out. It takes a while, so it has a
// build tag: go test -tags xcaddy -run Xcaddy .
func TestXcaddy(t *testing.T) {
	command := dockerfileCommand(t)
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
		up, site := newUpstream(t), freeAddresses(t, 1)[0]
		key := filepath.Join(t.TempDir(), "xai_api_key")
		writeFile(t, key, testKey+"\n")
		s := startBinary(t, binary, filepath.Join("examples", "docker", "Caddyfile"), site,
			"SITE_ADDRESS=http://"+site, "XAI_URL="+up.server.URL, "XAI_API_KEY=", "XAI_API_KEY_FILE="+filepath.ToSlash(key))
		up.mustOpenOneSession(t, decodeToken(t, s.post()).Value)
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
		if argument == module {
			argument += "@v0.0.0=."
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

// startBinary runs a Caddy of its own until the test ends, which serves a config
// on an address. It has a home and an admin API of its own.
func startBinary(t *testing.T, binary, config, site string, environ ...string) *caddyServer {
	t.Helper()
	s := &caddyServer{t: t, url: "http://" + site, dir: t.TempDir(), client: newHTTPClient(t)}
	ctx, cancel := context.WithCancel(t.Context())
	command := exec.CommandContext(ctx, binary, "run", "--config", config)
	command.Env = append(os.Environ(), "XAI_API_KEY="+testKey, "CADDY_ADMIN="+freeAddresses(t, 1)[0],
		"HOME="+s.dir, "XDG_DATA_HOME="+filepath.Join(s.dir, "data"), "XDG_CONFIG_HOME="+filepath.Join(s.dir, "config"))
	command.Env = append(command.Env, environ...)
	var output strings.Builder // read only when the process has ended
	command.Stderr = &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = command.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	eventually(t, "Caddy serves", func() bool {
		_, err := s.try(t.Context(), http.MethodGet, s.url)
		return err == nil
	})
	return s
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

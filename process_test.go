// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// asCaddy is the environment variable that makes of the test's binary a Caddy with
// all that is compiled into it.
const asCaddy = "XAITOKEN_TEST_AS_CADDY"

// beCaddy runs Caddy's command line, and does not return, if this process was
// started for that.
func beCaddy() {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		os.Exit(0)
	}
}

// ownBinary returns the test's binary.
func ownBinary(t *testing.T) string {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// startBinary runs a Caddy of its own until the test ends, and waits until it
// serves on an address. The test's directory is its home, and has all that it
// prints in output.log.
func startBinary(t *testing.T, binary string, args []string, site string, environ ...string) *caddyServer {
	t.Helper()
	admin := freeAddresses(t, 1)[0]
	s := &caddyServer{t: t, url: "http://" + site, admin: "http://" + admin, dir: t.TempDir(), client: newHTTPClient(t)}
	command := s.command(binary, args...)
	command.Env = append(command.Env, "XAI_API_KEY="+testKey, "CADDY_ADMIN="+admin)
	command.Env = append(command.Env, environ...)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // when t.Context has ended the process
		_ = command.Wait()
		if t.Failed() {
			t.Log(s.readFile("output.log"))
		}
	})
	eventually(t, "Caddy serves", func() bool {
		_, err := s.try(t.Context(), http.MethodGet, s.url)
		return err == nil
	})
	return s
}

// command prepares one of Caddy's commands, to run with the test's directory as
// its home.
func (s *caddyServer) command(binary string, args ...string) *exec.Cmd {
	s.t.Helper()
	output, err := os.OpenFile(filepath.Join(s.dir, "output.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = output.Close() })
	command := exec.CommandContext(s.t.Context(), binary, args...) //nolint:gosec // our own binary
	command.Stdout, command.Stderr = output, output
	// Little of this process's environment, since --environ prints it.
	command.Env = []string{asCaddy + "=yes", "HOME=" + s.dir,
		"XDG_DATA_HOME=" + filepath.Join(s.dir, "data"), "XDG_CONFIG_HOME=" + filepath.Join(s.dir, "config")}
	for _, name := range []string{"PATH", "SystemRoot", "TEMP", "TMP"} {
		command.Env = append(command.Env, name+"="+os.Getenv(name))
	}
	return command
}

// startProcess serves a site in a Caddy of its own. It returns the name of the
// config, too.
func startProcess(t *testing.T, up *upstream, flags ...string) (s *caddyServer, config string) {
	t.Helper()
	site := freeAddresses(t, 1)[0]
	config = filepath.Join(t.TempDir(), "Caddyfile")
	writeFile(t, config, strings.NewReplacer("SITE", site, "UPSTREAM", up.endpoint()).Replace(`
{
	debug
	metrics
}
http://SITE {
	log
	xai_ephemeral_token /session {
		endpoint UPSTREAM
		rate_limit off
		prefetch 2
	}
}
`))
	return startBinary(t, ownBinary(t), append([]string{"run", "--config", config}, flags...), site), config
}

// TestNothingSecretIsPrintedOrStored runs Caddy as users do, through failures, a
// reload and its end, and searches all that its commands printed and every file
// that they left.
func TestNothingSecretIsPrintedOrStored(t *testing.T) {
	up := newUpstream(t)
	s, config := startProcess(t, up)
	s.loads = 2 // with the reload below
	mustRun := func(args ...string) {
		t.Helper()
		if err := s.command(ownBinary(t), args...).Run(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, s.readFile("output.log"))
		}
	}
	decodeToken(t, s.post())
	s.waitPrefetched(2)
	decodeToken(t, s.post())
	mustRun("reload", "--force", "--address", strings.TrimPrefix(s.admin, "http://"), "--config", config)
	up.Script(sandbox.Answer(http.StatusUnauthorized, `{"error":"no `+testKey+`"}`))
	if got := s.post(); got.StatusCode != http.StatusBadGateway {
		t.Errorf("got %d, want 502", got.StatusCode)
	}
	decodeToken(t, s.post())
	mustRun("stop", "--address", strings.TrimPrefix(s.admin, "http://"))
	eventually(t, "Caddy has stopped", func() bool { return strings.Contains(s.readFile("output.log"), "shutdown complete") })

	var names []string
	home := os.DirFS(s.dir)
	err := fs.WalkDir(home, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		names = append(names, entry.Name())
		content, err := fs.ReadFile(home, path)
		for _, secret := range []string{testKey[:len(testKey)/2], "xai-realtime-client-secret-"} {
			if strings.Contains(string(content), secret) {
				t.Errorf("%s has a secret: %s", path, around(string(content), secret))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(names, " "); !strings.Contains(all, "output.log") || !strings.Contains(all, "autosave.json") {
		t.Errorf("searched %s", all)
	}
	for _, said := range []string{"issued token", "no [key]", "load complete"} {
		if !strings.Contains(s.readFile("output.log"), said) {
			t.Errorf("the log does not say %q", said)
		}
	}
}

// TestPrintedEnvironmentIsWarnedOf starts Caddy as the service of Caddy's packages
// does: it prints the environment, and the key with it.
func TestPrintedEnvironmentIsWarnedOf(t *testing.T) {
	const warning = "this Caddy prints its environment"
	s, _ := startProcess(t, newUpstream(t), "--environ")
	if output := s.readFile("output.log"); !strings.Contains(output, testKey) || !strings.Contains(output, warning) {
		t.Errorf("Caddy printed %s", output)
	}
	s, _ = startProcess(t, newUpstream(t))
	if strings.Contains(s.readFile("output.log"), warning) {
		t.Error("warned without --environ")
	}
}

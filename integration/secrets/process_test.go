// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package secrets

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// startProcess serves a site in a Caddy of its own. It returns the name of the
// config, too.
func startProcess(t *testing.T, up *caddytest.Upstream, flags ...string) (s *caddytest.Server, config string) {
	t.Helper()
	site := caddytest.FreeAddresses(t, 1)[0]
	config = filepath.Join(t.TempDir(), "Caddyfile")
	caddytest.WriteFile(t, config, strings.NewReplacer("SITE", site, "UPSTREAM", up.Endpoint()).Replace(`
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
	return caddytest.StartBinary(t, caddytest.OwnBinary(t), append([]string{"run", "--config", config}, flags...), site), config
}

// TestNothingSecretIsPrintedOrStored runs Caddy as users do, through failures, a
// reload and its end, and searches all that its commands printed and every file
// that they left.
func TestNothingSecretIsPrintedOrStored(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s, config := startProcess(t, up)
	mustRun := func(args ...string) {
		t.Helper()
		if err := s.Command(caddytest.OwnBinary(t), args...).Run(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, s.ReadFile("output.log"))
		}
	}
	caddytest.DecodeToken(t, s.Post())
	s.WaitPrefetched(2)
	caddytest.DecodeToken(t, s.Post())
	mustRun("reload", "--force", "--address", strings.TrimPrefix(s.AdminURL, "http://"), "--config", config)
	s.Reloaded = true
	up.Script(sandbox.Answer(http.StatusNotFound, `{"error":"no `+caddytest.Key+`"}`))
	if got := s.Post(); got.StatusCode != http.StatusBadGateway {
		t.Errorf("got %d, want 502", got.StatusCode)
	}
	caddytest.DecodeToken(t, s.Post())
	mustRun("stop", "--address", strings.TrimPrefix(s.AdminURL, "http://"))
	caddytest.Eventually(t, "Caddy has stopped", func() bool { return strings.Contains(s.ReadFile("output.log"), "shutdown complete") })

	var names []string
	home := os.DirFS(s.Dir)
	err := fs.WalkDir(home, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		names = append(names, entry.Name())
		content, err := fs.ReadFile(home, path)
		for _, secret := range []string{caddytest.Key[:len(caddytest.Key)/2], "xai-realtime-client-secret-"} {
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
		if !strings.Contains(s.ReadFile("output.log"), said) {
			t.Errorf("the log does not say %q", said)
		}
	}
}

// TestPrintedEnvironmentIsWarnedOf starts Caddy as the service of Caddy's packages
// does: it prints the environment, and the key with it.
func TestPrintedEnvironmentIsWarnedOf(t *testing.T) {
	const warning = "this Caddy prints its environment"
	s, _ := startProcess(t, caddytest.NewUpstream(t), "--environ")
	if output := s.ReadFile("output.log"); !strings.Contains(output, caddytest.Key) || !strings.Contains(output, warning) {
		t.Errorf("Caddy printed %s", output)
	}
	s, _ = startProcess(t, caddytest.NewUpstream(t))
	if strings.Contains(s.ReadFile("output.log"), warning) {
		t.Error("warned without --environ")
	}
}

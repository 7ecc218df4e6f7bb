// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// startExample serves the Caddyfile in a directory of examples/, as it is on the
// disk. What its {$VARIABLES} are comes from environ, in which SITE, SITE2 and PORT
// stand for what they stand for in caddytest.Start.
func startExample(t *testing.T, up *caddytest.Upstream, directory string, environ map[string]string) *caddytest.Server {
	t.Helper()
	t.Chdir(caddytest.Root(t)) // the paths in examples start there
	config := caddytest.ReadExample(t, directory, "Caddyfile")
	all := map[string]string{"SITE_ADDRESS": "http://SITE", "XAI_URL": up.URL, "XAI_API_KEY": caddytest.Key}
	maps.Copy(all, environ)
	return caddytest.StartBy(t, up, func(s *caddytest.Server) error {
		for name, value := range all {
			t.Setenv(name, s.Expand(value))
		}
		return s.LoadVerbatim(config)
	})
}

// TestExampleCaddyfiles holds for all of them: they need nothing but the
// environment, and look as "caddy fmt" has it.
func TestExampleCaddyfiles(t *testing.T) {
	t.Chdir(caddytest.Root(t))
	files, err := filepath.Glob("examples/*/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob("examples/*/*/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, deeper...)
	if len(files) == 0 {
		t.Fatal("there are none")
	}
	for _, file := range files {
		t.Run(filepath.ToSlash(filepath.Dir(file)), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(caddyfile.Format(content), content) {
				t.Error("it is not formatted: caddy fmt --overwrite " + file)
			}
			if strings.Contains(string(content), "limit_store redis") {
				return // of a module of its own, see TestXcaddyRateLimit
			}
			if _, err := caddytest.Adapt(string(content)); err != nil {
				t.Error(err)
			}
		})
	}
}

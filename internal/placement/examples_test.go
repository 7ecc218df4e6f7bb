// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"encoding/pem"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestExamples has nothing to say of the examples of this repository.
func TestExamples(t *testing.T) {
	const examples = "../../examples"
	world := newWorld(t)
	https := httptest.NewTLSServer(nil)
	t.Cleanup(https.Close)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "xai_api_key"), testKey)
	writeFile(t, filepath.Join(dir, "ca.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: https.Certificate().Raw})))
	found := 0
	err := filepath.WalkDir(examples, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != "Caddyfile" {
			return err
		}
		found++
		name, err := filepath.Rel(examples, filepath.Dir(path))
		if err != nil {
			return err
		}
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			// The store is a module of its own, and no part of where the directive stands.
			content = regexp.MustCompile(`(?m)^\s*limit_store .*\n`).ReplaceAll(content, nil)
			s := newSite(t, world)
			t.Setenv("CLIENT_CA", filepath.Join(dir, "ca.crt"))
			t.Setenv("XAI_API_KEY_FILE", filepath.Join(dir, "xai_api_key"))
			t.Setenv("CREDENTIALS_DIRECTORY", dir)
			t.Setenv("ALICE_PASSWORD_HASH", strings.TrimPrefix(account, "alice "))
			if strings.Contains(string(content), "client_auth") {
				t.Setenv("SITE_ADDRESS", "https://"+s.address)
			}
			s.validate(s.adapt(string(content)))
			for _, said := range s.warnings() {
				for _, verdict := range []verdict{never, noSignIn, header, hides} {
					if strings.Contains(said, string(verdict)) {
						t.Errorf("it says %q", said)
					}
				}
			}
		})
		return nil
	})
	if err != nil || found < 10 {
		t.Errorf("there are %d examples: %v", found, err)
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"encoding/json"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// readmeBlocks returns the README's code blocks in a language.
func readmeBlocks(t *testing.T, language string) []string {
	t.Helper()
	text := strings.ReplaceAll(caddytest.ReadRepoFile(t, "README.md"), "\r\n", "\n")
	var blocks []string
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, match[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("the README has no %s", language)
	}
	return blocks
}

func TestReadmeCaddyfiles(t *testing.T) {
	for _, block := range readmeBlocks(t, "caddyfile") {
		if _, err := caddytest.Adapt(block); err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
	}
}

func TestReadmeJSON(t *testing.T) {
	t.Setenv("XAI_API_KEY", caddytest.Key)
	validated := 0
	for _, block := range readmeBlocks(t, "json") {
		if !strings.Contains(block, `"handler"`) {
			continue
		}
		validated++
		var config caddy.Config
		err := json.Unmarshal([]byte(`{"admin": {"disabled": true}, "apps": {"http": {"servers": {"a": {"routes": [{"handle": [`+
			block+`]}]}}}}}`), &config)
		if err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&config); err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
	}
	if validated != 1 {
		t.Errorf("validated %d handlers, want 1", validated)
	}
}

// TestSecurityTests finds every test that SECURITY.md names as a proof.
func TestSecurityTests(t *testing.T) {
	var tests strings.Builder
	repository := os.DirFS(caddytest.Root(t))
	err := fs.WalkDir(repository, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		content, err := fs.ReadFile(repository, name)
		tests.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(caddytest.ReadRepoFile(t, "SECURITY.md"), -1)
	if len(named) < 30 {
		t.Errorf("SECURITY.md names %d tests", len(named))
	}
	for _, name := range named {
		if !strings.Contains(tests.String(), "\nfunc "+name[1]+"(") {
			t.Errorf("there is no %s", name[1])
		}
	}
}

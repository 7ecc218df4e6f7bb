// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const document = "../../docs/clients.md"

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(content), "\r\n", "\n")
}

// TestDocumentedCode holds the documentation to the code that these tests run: all of
// it is there, as it is in the files.
func TestDocumentedCode(t *testing.T) {
	text := read(t, document)
	files, err := filepath.Glob(examples + "/*")
	if err != nil || len(files) < 8 {
		t.Fatalf("there are %d files, error %v", len(files), err)
	}
	for _, file := range files {
		if filepath.Base(file) == "README.md" {
			continue
		}
		code := read(t, file)
		if filepath.Base(file) != "Caddyfile" {
			_, code, _ = strings.Cut(code, "\n\n") // without the licence
		}
		if !strings.Contains(text, "\n"+code+"```\n") {
			t.Errorf("%s does not have %s as it is", document, filepath.Base(file))
		}
	}
}

// TestDocumentedVersions holds the documentation to the versions that these tests run.
func TestDocumentedVersions(t *testing.T) {
	var manifest struct{ Dependencies map[string]string }
	if err := json.Unmarshal([]byte(read(t, "package.json")), &manifest); err != nil {
		t.Fatal(err)
	}
	text := read(t, document)
	for _, name := range []string{"ws", "ai", "@ai-sdk/xai", "@ai-sdk/react", "@openai/agents-realtime", "openai", "@livekit/agents-plugin-xai"} {
		version := manifest.Dependencies[name]
		pattern := "`" + regexp.QuoteMeta(name) + "`" + `(\]\([^)]*\))? ` + regexp.QuoteMeta(version) + `\b`
		if version == "" || !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("%s does not name version %s of %s", document, version, name)
		}
	}
}

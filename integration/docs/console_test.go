// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestReadmeConsole types each command that the documentation shows with what it
// prints, and compares. An ellipsis there stands for anything.
func TestReadmeConsole(t *testing.T) {
	for _, b := range blocksIn(t, "console") {
		t.Run(b.String(), func(t *testing.T) {
			typed, printed, _ := strings.Cut(strings.TrimPrefix(b.text, "$ "), "\n")
			got := typeCommand(t, typed)
			want := "^" + strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(printed)), "…", ".*") + "$"
			if !regexp.MustCompile(want).MatchString(strings.TrimSpace(got)) {
				t.Errorf("%s prints\n%s\nand not\n%s", typed, got, printed)
			}
		})
	}
}

// typeCommand runs a command of the documentation on this machine, and returns what
// it prints.
func typeCommand(t *testing.T, typed string) string {
	t.Helper()
	up := caddytest.NewUpstream(t)
	const post, mint, key = "curl -X POST ", "./caddy xai-ephemeral-token ", "/run/secrets/xai_api_key"
	switch {
	case strings.HasPrefix(typed, post):
		s := caddytest.Start(t, up, "http://SITE {\nxai_ephemeral_token /session "+caddytest.Key+" {\nendpoint UPSTREAM\n}\n}\n")
		path := regexp.MustCompile(`^https?://[^/]+(/\S+)$`).FindStringSubmatch(strings.TrimPrefix(typed, post))
		return s.Do(http.MethodPost, s.URL+path[1]).Body
	case strings.HasPrefix(typed, mint):
		file := filepath.ToSlash(filepath.Join(t.TempDir(), "key"))
		caddytest.WriteFile(t, file, "xai-of-somebody-else")
		args := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(strings.TrimPrefix(typed, mint), key, file), "'", ""))
		stdout, stderr, _ := caddytest.RunMintCommand(t, append(args, "--endpoint", up.Endpoint())...)
		return stdout + stderr
	}
	t.Fatalf("nobody knows how to type %q", typed)
	return ""
}

// browser is what Node lacks of a page that runs client.mjs. It says which socket
// the page opens, or how it fails.
const browser = `
globalThis.location = new URL(process.argv[2]);
const fetchAnywhere = globalThis.fetch;
globalThis.fetch = (url, options) => fetchAnywhere(new URL(url, location), options);
globalThis.WebSocket = class {
  constructor(url, protocols) { console.log(JSON.stringify({ url, protocols })); }
};
try {
  await import("./client.mjs");
} catch (error) {
  console.log(JSON.stringify({ error: error.name, message: error.message }));
}
`

// TestReadmeClient runs the README's client with the token.js that it tells to copy.
func TestReadmeClient(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no Node")
	}
	all, _ := blocks(t, "README.md")
	dir := t.TempDir()
	for _, b := range all {
		if b.language == "js" {
			caddytest.WriteFile(t, filepath.Join(dir, "client.mjs"), b.text)
		}
	}
	caddytest.WriteFile(t, filepath.Join(dir, "package.json"), `{"type": "module"}`)
	caddytest.WriteFile(t, filepath.Join(dir, "browser.js"), browser)
	caddytest.WriteFile(t, filepath.Join(dir, "token.js"), readDocument(t, "examples/voice/token.js"))

	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, `
http://SITE {
	xai_ephemeral_token /session `+caddytest.Key+` {
		endpoint UPSTREAM
	}
}
http://SITE2 {
}
`)
	type outcome struct {
		URL       string
		Protocols []string
		Error     string
		Message   string
	}
	open := func(page string) (said outcome) {
		output, err := exec.CommandContext(t.Context(), node, filepath.Join(dir, "browser.js"), page).CombinedOutput() //nolint:gosec // what LookPath found
		if err != nil || json.Unmarshal(output, &said) != nil {
			t.Fatalf("%v: %s", err, output)
		}
		return said
	}
	t.Run("opens a session with a new token", func(t *testing.T) {
		said := open(s.URL)
		if said.URL != "wss://api.x.ai/v1/realtime?model=grok-voice-latest" || len(said.Protocols) != 1 {
			t.Fatalf("the page says %+v", said)
		}
		up.MustOpenOneSession(t, strings.TrimPrefix(said.Protocols[0], "xai-client-secret."))
	})
	t.Run("says in words that Caddy's empty answer is none", func(t *testing.T) {
		if said := open(s.URL2); said.Error != "TokenError" || said.Message != "Nothing hands out tokens here" {
			t.Errorf("the page says %+v", said)
		}
	})
}

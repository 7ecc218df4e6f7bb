// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const typescriptVersion = "5.9.3"

// TestTokenInNode tests token.js outside of a page: see token.test.mjs.
func TestTokenInNode(t *testing.T) {
	node := tool(t, "node")
	run(t, ".", node, "--test", "token.test.mjs")
}

// TestTokenTypes lets TypeScript check token.js itself, and somebody who uses it.
func TestTokenTypes(t *testing.T) {
	npm, node := tool(t, "npm"), tool(t, "node")
	dir := t.TempDir()
	for from, to := range map[string]string{"../examples/voice/token.js": "token.js", "testdata/caller.ts": "caller.ts"} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), npm, "install", "--silent", "--no-save", "--prefix", dir, "typescript@"+typescriptVersion) //nolint:gosec // npm
	if out, err := install.CombinedOutput(); err != nil {
		missing(t, "no TypeScript: %v\n%s", err, out)
	}
	run(t, dir, node, "node_modules/typescript/bin/tsc", "--noEmit", "--allowJs", "--checkJs", "--strict", "--exactOptionalPropertyTypes",
		"--noUncheckedIndexedAccess", "--target", "es2022", "--lib", "es2022,dom", "--module", "es2022", "--moduleResolution", "bundler", "caller.ts")
}

// tool finds a program, without which a test has nothing to say.
func tool(t *testing.T, name string) (path string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, "no %s", name)
	}
	return path
}

// missing skips a test for what this machine lacks, unless all of them are required.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("E2E_REQUIRE") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// run runs a program, which has to succeed.
func run(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...) //nolint:gosec // a test's own
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestTokenOnAnotherOrigin is about a visitor whose clock is wrong, and an endpoint that
// lets a page of another origin read its own.
func TestTokenOnAnotherOrigin(t *testing.T) {
	for name, skew := range map[string]string{"an hour fast": "3600e3", "an hour slow": "-3600e3"} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, append(elsewhere, tokens, tokens+"\ntrusted_origins http://localhost:8080")...)
			p := open(t, url, view{before: `
				const now = Date.now;
				Date.now = () => now() + ` + skew + `;`})
			p.js(`import("./token.js").then(({ fetchToken }) => fetchToken(` + quote(strings.Replace(url, "localhost", "127.0.0.1", 1)+"/session") + `))
				.then((token) => { window.fetched = token; }) && ""`)
			p.wait(`window.fetched`)
			if got := p.js(`fetched.remaining > 297 && fetched.remaining <= 301 || fetched.remaining`); got != "true" {
				t.Errorf("%s s are left of 300", got)
			}
			p.click("type") // does not take the token for expired
			p.waitPhase("talking")
			p.mustBeClean()
		})
	}
}

// TestOldBrowser is about WebKit before 2024.
func TestOldBrowser(t *testing.T) {
	p := open(t, serve(t), view{before: `
		delete AbortSignal.any;
		delete AbortSignal.timeout;
		delete URL.parse;`})
	p.converse("Am I old?")
	p.mustBeClean()
}

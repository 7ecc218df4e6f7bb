// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// block is a code block of the documentation.
type block struct {
	file, language string
	section        string // the heading of the second level that it stands under
	heading        string // the nearest heading, of whatever level
	text           string
}

// String names the block for people.
func (b block) String() string { return b.file + ", " + b.heading }

// readDocument returns a file of the repository.
func readDocument(t *testing.T, file string) string {
	t.Helper()
	return strings.ReplaceAll(caddytest.ReadRepoFile(t, filepath.FromSlash(file)), "\r\n", "\n")
}

// documentation names the files whose blocks are run: the README and all of docs.
func documentation(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(caddytest.Root(t), "docs", "*.md"))
	if err != nil || len(files) < 6 {
		t.Fatalf("docs has %d files, error %v", len(files), err)
	}
	documents := []string{"README.md"}
	for _, file := range files {
		documents = append(documents, "docs/"+filepath.Base(file))
	}
	return documents
}

var (
	fence   = regexp.MustCompile("^```(\\w*)$")
	heading = regexp.MustCompile(`^(#+) (.+)$`)
)

// blocks returns the code blocks of a document in their order, and its headings.
func blocks(t *testing.T, file string) (found []block, headings []string) {
	t.Helper()
	var current *block
	var text strings.Builder
	at := block{file: file}
	for line := range strings.Lines(readDocument(t, file)) {
		bare := strings.TrimSuffix(line, "\n")
		opened := fence.FindStringSubmatch(bare)
		titled := heading.FindStringSubmatch(bare)
		switch {
		case opened != nil && current == nil:
			next := at
			next.language = opened[1]
			current = &next
		case opened != nil:
			current.text = text.String()
			found = append(found, *current)
			current = nil
			text.Reset()
		case current != nil:
			text.WriteString(line)
		case titled != nil:
			at.heading = titled[2]
			headings = append(headings, titled[2])
			if len(titled[1]) <= 2 {
				at.section = titled[2]
			}
		}
	}
	if current != nil {
		t.Fatalf("a block of %s has no end", file)
	}
	return found, headings
}

// blocksIn returns the blocks of all the documentation in a language.
func blocksIn(t *testing.T, language string) []block {
	t.Helper()
	var found []block
	for _, file := range documentation(t) {
		all, _ := blocks(t, file)
		for _, b := range all {
			if b.language == language {
				found = append(found, b)
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("the documentation has no %s", language)
	}
	return found
}

// TestReadmeCaddyfiles has Caddy take each Caddyfile as it stands, formatted and
// without a warning, and provision it.
func TestReadmeCaddyfiles(t *testing.T) {
	t.Setenv("XAI_API_KEY", caddytest.Key)
	dir := t.TempDir()
	caddytest.NewAuthority(t, dir).IssueClient("xai")
	here := strings.NewReplacer(
		"/etc/caddy/xai.", filepath.ToSlash(dir)+"/xai.",
		"/etc/ssl/company-ca.pem", filepath.ToSlash(dir)+"/ca.crt")
	for _, b := range blocksIn(t, "caddyfile") {
		adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(b.text), map[string]any{"filename": "Caddyfile"})
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: error %v, warnings %v in\n%s", b, err, warnings, b.text)
			continue
		}
		var config caddy.Config
		if err := json.Unmarshal([]byte(here.Replace(string(adapted))), &config); err != nil {
			t.Fatal(err)
		}
		config.Admin = &caddy.AdminConfig{Disabled: true}
		if err := caddy.Validate(&config); err != nil {
			t.Errorf("%s: %v in\n%s", b, err, b.text)
		}
	}
}

func TestReadmeJSON(t *testing.T) {
	t.Setenv("XAI_API_KEY", caddytest.Key)
	validated := 0
	for _, b := range blocksIn(t, "json") {
		if !json.Valid([]byte(b.text)) {
			t.Errorf("%s: no JSON:\n%s", b, b.text)
		}
		if !strings.Contains(b.text, `"handler"`) {
			continue
		}
		validated++
		var config caddy.Config
		err := json.Unmarshal([]byte(`{"admin": {"disabled": true}, "apps": {"http": {"servers": {"a": {"routes": [{"handle": [`+
			b.text+`]}]}}}}}`), &config)
		if err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&config); err != nil {
			t.Errorf("%s: %v in\n%s", b, err, b.text)
		}
	}
	if validated != 1 {
		t.Errorf("validated %d handlers, want 1", validated)
	}
}

// TestReadmeScripts has each interpreter that is there read what is meant for it.
func TestReadmeScripts(t *testing.T) {
	tests := []struct {
		language, file string
		command        []string
	}{
		{"js", "block.mjs", []string{"node", "--check"}},
		{"sh", "block.sh", []string{"sh", "-n"}},
		{"go", "block.go", []string{"go", "vet"}},
	}
	for _, test := range tests {
		t.Run(test.language, func(t *testing.T) {
			found := blocksIn(t, test.language)
			if _, err := exec.LookPath(test.command[0]); err != nil {
				t.Skipf("there is no %s", test.command[0])
			}
			for _, b := range found {
				file := filepath.Join(t.TempDir(), test.file)
				caddytest.WriteFile(t, file, source(b))
				command := exec.CommandContext(t.Context(), test.command[0], append(test.command[1:], file)...) //nolint:gosec // the table's
				command.Dir = caddytest.Root(t)                                                                 // where "go vet" finds our packages
				if output, err := command.CombinedOutput(); err != nil {
					t.Errorf("%s: %v: %s", b, err, output)
				}
			}
		})
	}
}

// source makes of a block a whole file of its language.
func source(b block) string {
	if b.language != "go" {
		return b.text
	}
	imports, statements, _ := strings.Cut(b.text, "\n\n")
	return "package main\n\nimport (\n\"net/http\"\n\"net/http/httptest\"\n)\n" + imports + "\nfunc main() {\n" + statements + "server.Close()\n}\n"
}

func TestReadmeDockerfile(t *testing.T) {
	example := readDocument(t, "examples/docker/Dockerfile")
	for _, b := range blocksIn(t, "dockerfile") {
		for line := range strings.Lines(b.text) {
			if !strings.HasPrefix(line, "#") && !strings.Contains(example, line) {
				t.Errorf("%s: the example does not say %q", b, line)
			}
		}
	}
}

// TestReadmeFrontPage holds the README to what it is for: to fit on a page or two,
// and to have the commands that a newcomer types.
func TestReadmeFrontPage(t *testing.T) {
	readme := readDocument(t, "README.md")
	if lines := strings.Count(readme, "\n"); lines > 220 {
		t.Errorf("it has %d lines", lines)
	}
	for _, command := range []string{"go run ./cmd/caddy run --config examples/quickstart/Caddyfile", "go test ./..."} {
		if !strings.Contains(readme, "\n"+command+"\n```\n") {
			t.Errorf("it has no %q", command)
		}
	}
}

// anchor returns the name that GitHub gives to a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks finds the file and the heading of each link between documents of the
// repository.
func TestLinks(t *testing.T) {
	checked := 0
	repository := caddytest.Root(t)
	err := filepath.WalkDir(repository, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", "node_modules"}, entry.Name()) {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".md" {
			return nil
		}
		relative, err := filepath.Rel(repository, name)
		if err != nil {
			return err
		}
		for _, target := range link.FindAllStringSubmatch(prose(readDocument(t, filepath.ToSlash(relative))), -1) {
			if strings.Contains(target[1], "://") {
				continue
			}
			checked++
			if err := checkLink(t, filepath.ToSlash(relative), target[1]); err != nil {
				t.Errorf("%s links to %s: %v", relative, target[1], err)
			}
		}
		return nil
	})
	if err != nil || checked < 100 {
		t.Errorf("checked %d links, error %v", checked, err)
	}
}

// prose is a document without its code.
func prose(document string) string {
	var lines strings.Builder
	inBlock := false
	for line := range strings.Lines(document) {
		if strings.HasPrefix(line, "```") {
			inBlock = !inBlock
		} else if !inBlock {
			lines.WriteString(line)
		}
	}
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(lines.String(), "code")
}

func checkLink(t *testing.T, from, target string) error {
	t.Helper()
	file, fragment, _ := strings.Cut(target, "#")
	path := from
	if file != "" {
		path = filepath.ToSlash(filepath.Join(filepath.Dir(from), file))
	}
	if _, err := os.Stat(filepath.Join(caddytest.Root(t), path)); err != nil {
		return err
	}
	if fragment == "" {
		return nil
	}
	_, headings := blocks(t, path)
	for _, heading := range headings {
		if anchor(heading) == fragment {
			return nil
		}
	}
	return fmt.Errorf("no heading is called %s", fragment)
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

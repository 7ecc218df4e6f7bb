// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestContributingNamesDependencies looks in CONTRIBUTING.md for the reason of each
// direct dependency, of Go and of npm.
func TestContributingNamesDependencies(t *testing.T) {
	page := readDocument(t, "CONTRIBUTING.md")
	direct := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`) // without "// indirect"
	var names []string
	for _, module := range []string{"go.mod", "redis/go.mod", "e2e/go.mod", "bench/go.mod"} {
		for _, match := range direct.FindAllStringSubmatch(readDocument(t, module), -1) {
			names = append(names, match[1])
		}
	}
	for _, project := range []string{"e2e/clients/package.json", "bench/express/package.json"} {
		var listed struct{ Dependencies, OptionalDependencies map[string]string }
		if err := json.Unmarshal([]byte(readDocument(t, project)), &listed); err != nil {
			t.Fatal(err)
		}
		names = slices.AppendSeq(names, maps.Keys(listed.Dependencies))
		names = slices.AppendSeq(names, maps.Keys(listed.OptionalDependencies))
	}
	if len(names) < 40 {
		t.Errorf("found %d", len(names))
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "github.com/caddy-xai/") && !strings.Contains(page, "`"+name+"`") {
			t.Errorf("it has no reason for %s", name)
		}
	}
}

// TestContributingLayout compares the plan of the house in CONTRIBUTING.md with the
// house.
func TestContributingLayout(t *testing.T) {
	_, plan, _ := strings.Cut(readDocument(t, "CONTRIBUTING.md"), "\n## Layout\n")
	plan, _, _ = strings.Cut(plan, "\n## ")
	for _, pattern := range []string{"*", "internal/*", "integration/*"} {
		paths, err := filepath.Glob(filepath.Join(caddytest.Root(t), filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			name := filepath.Base(path)
			switch folder := filepath.Dir(pattern); {
			case folder == "internal":
				name = "internal/" + name + "/"
			case folder == "integration":
				name += "/"
			case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
				continue
			}
			if !strings.Contains(plan, "`"+name+"`") {
				t.Errorf("it does not have %s", name)
			}
		}
	}
}

// TestContributingImports holds packages to what CONTRIBUTING.md says that they know
// nothing of.
func TestContributingImports(t *testing.T) {
	const ours, caddy, http = "github.com/caddy-xai/caddy-xai-ephemeral-token", "github.com/caddyserver/", "net/http"
	for folder, unknown := range map[string][]string{
		"internal/xai":       {ours, caddy + "caddy/v2/caddyconfig"},
		"internal/stock":     {ours, caddy, http},
		"internal/placement": {ours},
		"limit":              {ours, caddy, http},
		"sandbox":            {ours},
	} {
		files, err := filepath.Glob(filepath.Join(caddytest.Root(t), filepath.FromSlash(folder), "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has %d files, error %v", folder, len(files), err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, imported := range file.Imports {
				path, err := strconv.Unquote(imported.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if slices.ContainsFunc(unknown, func(prefix string) bool { return strings.HasPrefix(path, prefix) }) {
					t.Errorf("%s/%s imports %s", folder, filepath.Base(name), path)
				}
			}
		}
	}
}

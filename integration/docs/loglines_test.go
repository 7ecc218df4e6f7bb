// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// TestTroubleshootingLogLines brings about each line of the log that
// docs/troubleshooting.md quotes.
func TestTroubleshootingLogLines(t *testing.T) {
	up, ahead := caddytest.NewUpstream(t), caddytest.NewUpstream(t)
	const ours = " " + caddytest.Key + " {\nendpoint UPSTREAM\nretries 1\nrate_limit off\n"
	s := caddytest.StartBy(t, up, func(s *caddytest.Server) error {
		trustsNobody := strings.Replace(caddytest.GlobalOptions, "trusted_proxies static 127.0.0.1/32", "", 1)
		return s.LoadWhole(s.Expand(trustsNobody + "http://SITE {\n" +
			"xai_ephemeral_token /session" + ours + "}\n" +
			"xai_ephemeral_token /other" + ours + "}\n" + // since a refusal of the key is remembered
			"xai_ephemeral_token /brief" + ours + "timeout 300ms\n}\n" +
			"xai_ephemeral_token /ahead" + strings.Replace(ours, "UPSTREAM", ahead.Endpoint(), 1) + "prefetch 1\n}\n" +
			"xai_ephemeral_token /keyless {header.X-Key} {\nendpoint UPSTREAM\n}\n" +
			"xai_ephemeral_token /storeless " + caddytest.Key + " {\nendpoint UPSTREAM\nlimit_store down\n}\n" +
			"xai_ephemeral_token /limited " + caddytest.Key + " {\nendpoint UPSTREAM\nrate_limit 1 1h\n}\n}\n"))
	})
	ask := func(path string, header ...string) { s.Do(http.MethodPost, s.URL+path, header...) }
	answered := func(path string, answers ...sandbox.Fault) func() {
		return func() {
			up.Script(answers...)
			ask(path)
		}
	}
	causes := map[string]func(){
		"issued token": func() { ask("/session") },
		"a page of another origin asked for a token and was refused; if it is yours, add it to trusted_origins": func() {
			ask("/session", "Origin", "https://app.example.com")
		},
		"requests come through a proxy that Caddy does not trust, so that all its clients share one rate limit; " +
			"name it in the global option servers > trusted_proxies, with trusted_proxies_strict": func() {
			ask("/limited", "X-Forwarded-For", "192.0.2.1")
		},
		"cross-origin request refused":          func() { ask("/session", "Sec-Fetch-Site", "cross-site") },
		"speculative request refused":           func() { ask("/session", "Sec-Purpose", "prefetch") },
		"method not allowed":                    func() { s.Do(http.MethodGet, s.URL+"/session") },
		"too many requests":                     func() { ask("/limited"); ask("/limited") },
		"rate limits are unavailable":           func() { ask("/storeless") },
		"the server has no usable API key":      func() { ask("/keyless") },
		"the client went away":                  func() { leave(t, s, up) },
		"xAI refused the request":               answered("/session", sandbox.Status(404)),
		"xAI answered with a redirect":          answered("/session", sandbox.Status(302)),
		"xAI failed":                            answered("/session", sandbox.Status(501)),
		"xAI sent an unusable answer":           answered("/session", sandbox.Answer(200, "<html>")),
		"xAI is limiting the rate of requests":  answered("/session", sandbox.Status(429), sandbox.Status(429)),
		"retrying":                              answered("/session", sandbox.Status(500)),
		"xAI cannot be reached":                 answered("/session", sandbox.Break(), sandbox.Break()),
		"xAI did not answer in time":            answered("/brief", sandbox.Hang(), sandbox.Hang()),
		"xAI refused the API key of the server": answered("/other", sandbox.Status(401)),
		"prefetching paused": func() {
			ahead.Script(nil, sandbox.Status(500))
			ask("/ahead")
		},
	}
	// Their tests need a Redis, and are there.
	const store = "redis/watch.go"
	elsewhere := map[string]string{"the limit store does not answer": store, "the limit store answers again": store}

	var lines []string
	for _, section := range []string{"Caddy warns while it runs", "502, 503, 504", "What the log says"} {
		lines = append(lines, quoted(t, section)...)
	}
	slices.Sort(lines)
	for line := range causes {
		if !slices.Contains(lines, line) {
			t.Errorf("the page does not have %q", line)
		}
	}
	for _, line := range slices.Compact(lines) {
		t.Run(line[:min(40, len(line))], func(t *testing.T) {
			if file, known := elsewhere[line]; known {
				if !strings.Contains(caddytest.ReadRepoFile(t, file), strconv.Quote(line)) {
					t.Errorf("nothing in %s says it", file)
				}
				return
			}
			provoke, known := causes[line]
			if !known {
				t.Fatalf("nobody knows how to provoke %q", line)
			}
			before := len(s.Logged())
			provoke()
			caddytest.Eventually(t, "it is logged", func() bool {
				return slices.ContainsFunc(s.Logged()[before:], func(entry map[string]any) bool { return entry["msg"] == line })
			})
		})
	}
}

// leave asks for a token and goes away while the call to xAI hangs.
func leave(t *testing.T, s *caddytest.Server, up *caddytest.Upstream) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	up.Script(func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
		leave()
		sandbox.Hang()(w, r, mint)
	})
	if got, err := s.Try(ctx, http.MethodPost, s.URL+"/session"); err == nil {
		t.Errorf("a client that left got %d", got.StatusCode)
	}
}

// sources have all that the plugin says at load and in the log.
var sources = []string{
	"apikey.go", "caddyfile.go", "crossorigin.go", "failure.go", "handler.go", "limiter.go", "module.go", "notices.go", "options.go", "ratelimit.go",
	"internal/placement/say.go", "internal/xai/error.go", "limit/limit.go",
}

// unexplained are parts of a sentence, and what only authors of modules see.
var unexplained = []string{
	"to any path",
	"nobody waits for the token any more",
	"limit_store: module %T cannot count limits",
	"no token left for %s",
}

// TestTroubleshootingIsComplete looks in docs/troubleshooting.md for each sentence of
// the sources: the longest part of it in which nothing is filled in.
func TestTroubleshootingIsComplete(t *testing.T) {
	page := strings.Join(strings.Fields(readDocument(t, "docs/troubleshooting.md")), " ")
	verb := regexp.MustCompile(`%(\[\d\])?[a-zA-Z]`)
	checked := 0
	for _, name := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(caddytest.Root(t), name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			literal, ok := node.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING || literal.Value[0] == '`' {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			var longest string
			for _, part := range verb.Split(text, -1) {
				if part = strings.Trim(part, " :"); len(part) > len(longest) {
					longest = part
				}
			}
			if strings.Count(longest, " ") < 2 || slices.Contains(unexplained, text) {
				return true
			}
			checked++
			if !strings.Contains(page, longest) {
				t.Errorf("%s says %q, and the page does not", name, text)
			}
			return true
		})
	}
	if checked < 100 {
		t.Errorf("checked %d sentences", checked)
	}
}

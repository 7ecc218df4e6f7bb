// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package secrets

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// TestNoSecretLeaks drives every success and failure while everything records as
// much as it can, and searches all of it for the key and for the tokens.
func TestNoSecretLeaks(t *testing.T) {
	t.Setenv("XAI_TEST_KEY", caddytest.Key)
	mostOfKey := caddytest.Key[:len(caddytest.Key)-1]
	spans := caddytest.StartTraceCollector(t)
	up := caddytest.NewUpstream(t)
	raw := caddytest.NewRawUpstream(t)
	ca := caddytest.NewAuthority(t, t.TempDir())
	ca.IssueServer("named", []string{caddytest.Key + ".example.com"})
	named := caddytest.NewRawTLSUpstream(t, &tls.Config{Certificates: []tls.Certificate{ca.Load("named")}, MinVersion: tls.VersionTLS12})
	statuses := []int{301, 400, 401, 403, 404, 422, 429, 500, 501, 503}
	var handlers strings.Builder // one for each, since it would remember a refusal
	for _, status := range statuses {
		fmt.Fprintf(&handlers, "\txai_ephemeral_token /status/%d {env.XAI_TEST_KEY} {\n\t\tendpoint UPSTREAM\n\t\ttimeout 300ms\n\t}\n", status)
	}
	s := caddytest.Start(t, up, strings.NewReplacer("HANDLERS", handlers.String(), "RAW", raw.URL, "NAMED", named.URL, "CA_FILE", filepath.ToSlash(ca.Dir)+"/ca.crt").Replace(`
http://SITE {
	tracing
	log {
		output file DIR/access.log {
			roll_disabled
		}
	}
	log_append token {http.xai_ephemeral_token.id}
	xai_ephemeral_token /session {env.XAI_TEST_KEY} {
		endpoint UPSTREAM
		rate_limit off
		timeout 300ms
		methods POST GET
	}
	xai_ephemeral_token /ahead {env.XAI_TEST_KEY} {
		endpoint UPSTREAM
		rate_limit off
		prefetch 1
	}
	xai_ephemeral_token /page {env.XAI_TEST_KEY} {
		endpoint UPSTREAM
		rate_limit 1 1h
		pass_thru
	}
	respond /page "{http.xai_ephemeral_token.value}"
	xai_ephemeral_token /keyless {http.request.header.X-Key} {
		endpoint UPSTREAM
	}
	xai_ephemeral_token /storeless {env.XAI_TEST_KEY} {
		endpoint UPSTREAM
		limit_store down
	}
	xai_ephemeral_token /raw {env.XAI_TEST_KEY} {
		endpoint RAW
		rate_limit off
		timeout 300ms
	}
	xai_ephemeral_token /named {env.XAI_TEST_KEY} {
		endpoint NAMED
		retries 0
		transport http {
			tls_trust_pool file CA_FILE
			tls_server_name api.x.ai
		}
	}
	HANDLERS
	handle_errors {
		respond "{err.status_code} {err.message} {err.trace} {err.id}"
	}
}
`))

	before := s.Metrics() // of other tests

	var told strings.Builder // all that clients other than the token's got
	var tokens []string
	ask := func(path string, header ...string) {
		t.Helper()
		got := s.Do(http.MethodPost, s.URL+path, header...)
		if got.StatusCode == http.StatusOK {
			tokens = append(tokens, caddytest.DecodeToken(t, got).Value)
			return
		}
		told.WriteString(got.Body)
		_ = got.Header.Write(&told)
	}

	ask("/session")
	ask("/session", "Sec-Fetch-Site", "cross-site")
	ask("/session", "Sec-Purpose", "prefetch")
	echo := `{"error":{"message":"no ` + caddytest.Key + ` and no xai-realtime-client-secret-scripted"}}`
	for _, status := range statuses {
		fault := sandbox.Answer(status, echo, "X-Request-Id", caddytest.Key, "Location", "http://"+caddytest.Key, "Retry-After", "9")
		up.Script(fault) // with a wait that does not fit, so there is no retry
		ask(fmt.Sprintf("/status/%d", status))
	}
	for _, body := range []string{
		`{"token":"xai-realtime-client-secret-scripted"}`, `{"value":"xai-realtime-client-secret- scripted"}`,
		`"` + caddytest.Key, "<p>" + caddytest.Key + " xai-realtime-client-secret-scripted",
	} {
		up.Script(sandbox.Answer(http.StatusOK, body))
		ask("/session")
	}
	up.Script(sandbox.BreakMidBody(), sandbox.Break(), sandbox.Hang())
	ask("/session")
	for _, answer := range []string{
		"HTTP/1.1 " + caddytest.Key + "\r\n\r\n",
		"HTTP/1.1 401 Unauthorized\r\nContent-Length: 500\r\n\r\n{\"error\":\"no " + mostOfKey,
		caddytest.Key + " xai-realtime-client-secret-scripted\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + caddytest.Key + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + mostOfKey,
		"HTTP/1.1 200 OK\r\nA: b\r\n" + mostOfKey,
		"HTTP/1.1 200 OK\r\nContent-Length: " + caddytest.Key + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + caddytest.Key + "\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n0\r\n" + caddytest.Key + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + caddytest.Key + "\r\n\r\n",
	} {
		raw.Exchanges.Set(caddytest.Say(answer, caddytest.Cut))
		ask("/raw")
	}
	if got := s.Do(http.MethodPost, s.URL+"/page"); got.StatusCode != http.StatusOK || !strings.HasPrefix(got.Body, "xai-realtime-client-secret-") {
		t.Errorf("the page got %d", got.StatusCode)
	}
	ask("/named")   // from a server whose certificate has the key
	ask("/page")    // over its limit
	ask("/keyless") // without a key
	ask("/storeless")
	told.WriteString(s.Do(http.MethodPut, s.URL+"/session").Body)
	leave(t, s, up)
	ask("/ahead")
	s.WaitPrefetched(1)
	up.Script(sandbox.Answer(http.StatusForbidden, echo, "X-Request-Id", caddytest.Key))
	ask("/ahead")
	if len(tokens) != 3 {
		t.Fatalf("%d tokens were issued, want 3", len(tokens))
	}

	caddytest.Eventually(t, "all is recorded", func() bool {
		return strings.Contains(spans.Spans(), raw.URL) &&
			strings.Contains(s.ReadFile("caddy.log"), "prefetching paused") &&
			strings.Contains(s.ReadFile("caddy.log"), "certificate is valid for [key]") &&
			strings.Contains(s.ReadFile("access.log"), caddytest.TokenID(tokens[2])) &&
			strings.Count(s.ReadFile("access.log"), `"uri":"/raw"`) == 10
	})
	records := map[string]string{
		"an answer to a client":  told.String(),
		"the log":                s.ReadFile("caddy.log"),
		"the access log":         s.ReadFile("access.log"),
		"the metrics":            s.Do(http.MethodGet, s.AdminURL+"/metrics").Body,
		"the admin API's config": s.Do(http.MethodGet, s.AdminURL+"/config/").Body,
		"a trace":                spans.Spans(),
	}
	for _, path := range []string{"/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/cmdline", "/debug/vars", "/reverse_proxy/upstreams"} {
		records[path] = s.Do(http.MethodGet, s.AdminURL+path).Body
	}
	after := s.Metrics()
	var counted []string
	for series, value := range after {
		if reason, found := strings.CutPrefix(series, failureSeries); found {
			counted = append(counted, strings.TrimSuffix(reason, `"}`))
			if value <= before[series] {
				t.Errorf("the failure %s was not driven", series)
			}
		}
	}
	slices.Sort(counted)
	if want := documentedReasons(t); !slices.Equal(counted, want) {
		t.Errorf("the failures %v were counted, and the documentation lists %v", counted, want)
	}
	for where, record := range records {
		if record == "" {
			t.Errorf("%s is empty", where)
		}
		if half := caddytest.Key[:len(caddytest.Key)/2]; strings.Contains(record, half) {
			t.Errorf("%s has the key: %s", where, around(record, half))
		}
		if strings.Contains(record, "xai-realtime-client-secret-") {
			t.Errorf("%s has a token: %s", where, around(record, "xai-realtime-client-secret-"))
		}
	}
}

// leave asks for a token and goes away while the call to xAI hangs.
func leave(t *testing.T, s *caddytest.Server, up *caddytest.Upstream) {
	t.Helper()
	const gone = failureSeries + `client_gone"}`
	before := s.Metrics()[gone]
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	up.Script(func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
		leave()
		sandbox.Hang()(w, r, mint)
	})
	if got, err := s.Try(ctx, http.MethodPost, s.URL+"/session"); err == nil {
		t.Errorf("a client that left got %d", got.StatusCode)
	}
	caddytest.Eventually(t, "the client's leaving is recorded", func() bool { return s.Metrics()[gone] > before })
}

// failureSeries is the metric of a failure, up to its reason.
const failureSeries = `caddy_xai_ephemeral_token_errors_total{reason="`

// documentedReasons returns the reasons of failure that the documentation lists,
// in its table of metrics.
func documentedReasons(t *testing.T) []string {
	t.Helper()
	root := caddytest.Root(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `caddy_xai_ephemeral_token_errors_total` \\| `reason`: (.*) \\|$")
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if match := row.FindSubmatch(content); match != nil {
			reasons := strings.Split(strings.ReplaceAll(string(match[1]), "`", ""), ", ")
			slices.Sort(reasons)
			return reasons
		}
	}
	t.Fatal("the documentation lists no reasons")
	return nil
}

// TestLiteralKeyIsNotInTheTraceLog keeps a key that stands in the config, all of
// it or in part, out of the log that prints handlers.
func TestLiteralKeyIsNotInTheTraceLog(t *testing.T) {
	t.Setenv("XAI_TEST_KEY", caddytest.Key)
	first, second := caddytest.Key[:10], caddytest.Key[10:]
	t.Setenv("XAI_TEST_KEY_END", second)
	for name, test := range map[string]struct{ key, shown string }{
		"all of it":  {caddytest.Key, "REDACTED"},
		"part of it": {first + "{env.XAI_TEST_KEY_END}", "REDACTED"},
		"none of it": {"{env.XAI_TEST_KEY}", "{env.XAI_TEST_KEY}"},
	} {
		t.Run(name, func(t *testing.T) {
			s := caddytest.Start(t, caddytest.NewUpstream(t), `
http://SITE {
	log
	xai_ephemeral_token /session `+test.key+` {
		endpoint UPSTREAM
	}
}
`)
			caddytest.DecodeToken(t, s.Post())
			traced, warned := false, false
			for line := range strings.Lines(s.ReadFile("caddy.log")) {
				warned = warned || strings.Contains(line, "the API key stands in the config itself")
				if strings.Contains(line, `"logger":"http.log.trace"`) && strings.Contains(line, `"msg":"xai_ephemeral_token"`) {
					traced = true
					if !strings.Contains(line, `"api_key":"`+test.shown+`"`) || strings.Contains(line, first) {
						t.Errorf("traced %s", line)
					}
				}
			}
			if !traced {
				t.Error("nothing was traced")
			}
			if warned != (test.shown == "REDACTED") {
				t.Errorf("warned is %t", warned)
			}
		})
	}
}

func around(text, what string) string {
	i := strings.Index(text, what)
	return text[max(0, i-200):min(len(text), i+200)]
}

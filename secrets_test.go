// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	xaitoken "github.com/caddy-xai/caddy-xai-ephemeral-token"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// TestNoSecretLeaks drives every success and failure while everything records as
// much as it can, and searches all of it for the key and for the tokens.
func TestNoSecretLeaks(t *testing.T) {
	t.Setenv("XAI_TEST_KEY", testKey)
	mostOfKey := testKey[:len(testKey)-1]
	spans := startCollector(t)
	up := newUpstream(t)
	raw := newRawUpstream(t)
	ca := newAuthority(t, t.TempDir())
	ca.issueServer("named", []string{testKey + ".example.com"})
	named := newRawTLSUpstream(t, &tls.Config{Certificates: []tls.Certificate{ca.load("named")}, MinVersion: tls.VersionTLS12})
	s := startCaddy(t, up, strings.NewReplacer("RAW", raw.url, "NAMED", named.url, "CA_FILE", filepath.ToSlash(ca.dir)+"/ca.crt").Replace(`
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
	handle_errors {
		respond "{err.status_code} {err.message} {err.trace} {err.id}"
	}
}
`))

	before := s.metricValues() // of other tests

	var told strings.Builder // all that clients other than the token's got
	var tokens []string
	ask := func(path string, header ...string) {
		t.Helper()
		got := s.do(http.MethodPost, s.url+path, header...)
		if got.StatusCode == http.StatusOK {
			tokens = append(tokens, decodeToken(t, got).Value)
			return
		}
		told.WriteString(got.body)
		_ = got.Header.Write(&told)
	}

	ask("/session")
	ask("/session", "Sec-Fetch-Site", "cross-site")
	echo := `{"error":{"message":"no ` + testKey + ` and no xai-realtime-client-secret-scripted"}}`
	for _, status := range []int{301, 400, 401, 403, 404, 422, 429, 500, 501, 503} {
		fault := sandbox.Answer(status, echo, "X-Request-Id", testKey, "Location", "http://"+testKey, "Retry-After", "9")
		up.Script(fault) // with a wait that does not fit, so there is no retry
		ask("/session")
	}
	for _, body := range []string{
		`{"token":"xai-realtime-client-secret-scripted"}`, `{"value":"xai-realtime-client-secret- scripted"}`,
		`"` + testKey, "<p>" + testKey + " xai-realtime-client-secret-scripted",
	} {
		up.Script(sandbox.Answer(http.StatusOK, body))
		ask("/session")
	}
	up.Script(sandbox.BreakMidBody(), sandbox.Break(), sandbox.Hang())
	ask("/session")
	for _, answer := range []string{
		"HTTP/1.1 " + testKey + "\r\n\r\n",
		"HTTP/1.1 401 Unauthorized\r\nContent-Length: 500\r\n\r\n{\"error\":\"no " + mostOfKey,
		testKey + " xai-realtime-client-secret-scripted\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + testKey + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + mostOfKey,
		"HTTP/1.1 200 OK\r\nA: b\r\n" + mostOfKey,
		"HTTP/1.1 200 OK\r\nContent-Length: " + testKey + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + testKey + "\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n0\r\n" + testKey + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + testKey + "\r\n\r\n",
	} {
		raw.exchanges.set(say(answer, cut))
		ask("/raw")
	}
	if got := s.do(http.MethodPost, s.url+"/page"); got.StatusCode != http.StatusOK || !strings.HasPrefix(got.body, "xai-realtime-client-secret-") {
		t.Errorf("the page got %d", got.StatusCode)
	}
	ask("/named")   // from a server whose certificate has the key
	ask("/page")    // over its limit
	ask("/keyless") // without a key
	told.WriteString(s.do(http.MethodPut, s.url+"/session").body)
	s.leave(up)
	ask("/ahead")
	s.waitPrefetched(1)
	up.Script(sandbox.Answer(http.StatusForbidden, echo, "X-Request-Id", testKey))
	ask("/ahead")
	if len(tokens) != 3 {
		t.Fatalf("%d tokens were issued, want 3", len(tokens))
	}

	eventually(t, "all is recorded", func() bool {
		return strings.Contains(spans.spans(), raw.url) &&
			strings.Contains(s.readFile("caddy.log"), "prefetching paused") &&
			strings.Contains(s.readFile("caddy.log"), "certificate is valid for [key]") &&
			strings.Contains(s.readFile("access.log"), tokenID(tokens[2])) &&
			strings.Count(s.readFile("access.log"), `"uri":"/raw"`) == 10
	})
	records := map[string]string{
		"an answer to a client":  told.String(),
		"the log":                s.readFile("caddy.log"),
		"the access log":         s.readFile("access.log"),
		"the metrics":            s.do(http.MethodGet, s.admin+"/metrics").body,
		"the admin API's config": s.do(http.MethodGet, s.admin+"/config/").body,
		"a trace":                spans.spans(),
	}
	for _, path := range []string{"/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/cmdline", "/debug/vars", "/reverse_proxy/upstreams"} {
		records[path] = s.do(http.MethodGet, s.admin+path).body
	}
	after := s.metricValues()
	for _, reason := range xaitoken.FailureReasons() {
		if series := failureSeries(reason); after[series] <= before[series] {
			t.Errorf("the failure %s was not driven", reason)
		}
	}
	for where, record := range records {
		if record == "" {
			t.Errorf("%s is empty", where)
		}
		if half := testKey[:len(testKey)/2]; strings.Contains(record, half) {
			t.Errorf("%s has the key: %s", where, around(record, half))
		}
		if strings.Contains(record, "xai-realtime-client-secret-") {
			t.Errorf("%s has a token: %s", where, around(record, "xai-realtime-client-secret-"))
		}
	}
}

// leave asks for a token and goes away while the call to xAI hangs.
func (s *caddyServer) leave(up *upstream) {
	s.t.Helper()
	gone := failureSeries("client_gone")
	before := s.metricValues()[gone]
	ctx, leave := context.WithCancel(s.t.Context())
	defer leave()
	up.Script(func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
		leave()
		sandbox.Hang()(w, r, mint)
	})
	if got, err := s.try(ctx, http.MethodPost, s.url+"/session"); err == nil {
		s.t.Errorf("a client that left got %d", got.StatusCode)
	}
	eventually(s.t, "the client's leaving is recorded", func() bool { return s.metricValues()[gone] > before })
}

func failureSeries(reason string) string {
	return `caddy_xai_ephemeral_token_errors_total{reason="` + reason + `"}`
}

// TestLiteralKeyIsNotInTheTraceLog keeps a key that stands in the config, all of
// it or in part, out of the log that prints handlers.
func TestLiteralKeyIsNotInTheTraceLog(t *testing.T) {
	t.Setenv("XAI_TEST_KEY", testKey)
	first, second := testKey[:10], testKey[10:]
	t.Setenv("XAI_TEST_KEY_END", second)
	for name, test := range map[string]struct{ key, shown string }{
		"all of it":  {testKey, "REDACTED"},
		"part of it": {first + "{env.XAI_TEST_KEY_END}", "REDACTED"},
		"none of it": {"{env.XAI_TEST_KEY}", "{env.XAI_TEST_KEY}"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startCaddy(t, newUpstream(t), `
http://SITE {
	log
	xai_ephemeral_token /session `+test.key+` {
		endpoint UPSTREAM
	}
}
`)
			decodeToken(t, s.post())
			traced, warned := false, false
			for line := range strings.Lines(s.readFile("caddy.log")) {
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

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/xaitest"
)

const (
	fuzzKey     = "xai-fuzz-key-0123456789"
	tokenPrefix = "xai-realtime-client-secret-"
)

// rawAnswer is an upstream that answers with bytes that need not be HTTP.
type rawAnswer struct{ raw []byte }

func (a *rawAnswer) RoundTrip(r *http.Request) (*http.Response, error) {
	return http.ReadResponse(bufio.NewReader(bytes.NewReader(a.raw)), r)
}

// FuzzAnswer has xAI answer with any bytes, and checks what the client of a real
// Caddy gets for them: a token only where there is one, byte for byte, and else
// an error of the documented kind, with neither the key nor a token in a log.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 38\r\nX-Request-Id: 1\r\n\r\n" + `{"value":"a","expires_at":1790000000} `,
		"HTTP/1.1 200 OK\r\n\r\n" + `{"value":"` + tokenPrefix + `a"}`,
		"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n" + `{"value":"a"}` + "\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + `{"value":"a"}`,
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>" + tokenPrefix + "a " + fuzzKey,
		"HTTP/1.1 200 OK\r\n\r\n" + `{"value":"` + fuzzKey + `"}`,
		"HTTP/1.1 200 OK\r\n\r\n" + `{"value":"a","debug":{"authorization":"Bearer xai\u002dfuzz-key-0123456789"}}`,
		"HTTP/1.1 200 OK\r\n\r\n" + `{"value":"a","debug":"{\"key\":\"xai\\u002dfuzz-key-0123456789\"}"}`,
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 401 Unauthorized\r\nX-Request-Id: " + fuzzKey + "\r\n\r\n" + `{"error":"no ` + fuzzKey + `"}`,
		"HTTP/1.1 400 Bad Request\r\n\r\n" + `{"error":{"message":"` + strings.Repeat("ü", 260) + fuzzKey + `"}}`,
		"HTTP/1.1 422 X\r\n\r\n" + `{"detail":"xai\u002dfuzz-key-0123456789"}`,
		"HTTP/1.1 404 X\r\n\r\nxai-fuzz\xff-key-0123456789 xai-realtime\xff-client-secret-a",
		"HTTP/1.1 429 X\r\nRetry-After: 7\r\n\r\n" + `{"error":{"message":"wait"}}`,
		"HTTP/1.1 429 X\r\nRetry-After: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 429 X\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\nRetry-After: 1\r\n\r\n",
		"HTTP/1.1 429 X\r\nRetry-After: -1\r\n\r\n",
		"HTTP/1.0 503 X\r\nRetry-After: 1\r\n\r\n", "HTTP/1.1 529 X\r\n\r\n",
		"HTTP/1.1 307 X\r\nLocation: https://evil.example.com/\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.1 000 X\r\n\r\n", "HTTP/1.1 999 X\r\n\r\n",
		"220 " + fuzzKey + "\r\n", "HTTP/1.1 200 OK\r\n" + tokenPrefix + "a\r\n\r\n", "",
	} {
		f.Add([]byte(seed))
	}
	server := benchmarkServers(f, map[string]string{
		"fuzz": "xai_ephemeral_token /session " + fuzzKey + " {\n\tretries 0\n\trate_limit off\n}",
	})["fuzz"]
	handler := handlersIn(server.(*caddyhttp.Server).Routes)[0]
	xai := new(rawAnswer)
	f.Fuzz(func(t *testing.T, raw []byte) {
		core, logs := observer.New(zap.DebugLevel)
		handler.logger, handler.repetitions = zap.New(core), new(repetitions)
		xai.raw = raw
		callInstead(t, handler, xai)
		before := time.Now()
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://fuzz/session", nil))

		status, body, value, retryAfter := readAnswerPlainly(raw)
		if w.Code != status || w.Body.String() != body {
			t.Errorf("answered %d %q, want %d %q", w.Code, w.Body, status, body)
		}
		xaitest.CheckRetryAfter(t, w.Header().Get("Retry-After"), retryAfter, before)
		for name := range w.Header() {
			switch name {
			case "Content-Type", "Cache-Control", "X-Content-Type-Options", "Server", "Retry-After":
			default:
				t.Errorf("the answer has the header %s", name)
			}
		}
		if logs.Len() != 1 {
			t.Errorf("logged %v, want one line", logs.All())
		}
		for i := range logs.All() {
			entry := &logs.All()[i]
			line := entry.Message + fmt.Sprint(entry.ContextMap())
			if strings.Contains(line, fuzzKey) || strings.Contains(line, tokenPrefix) || len(value) > 16 && strings.Contains(line, value) {
				t.Errorf("logged %s", line)
			}
			if message, _ := entry.ContextMap()["upstream_message"].(string); len(message) > 512 || !utf8.ValidString(message) {
				t.Errorf("logged the message %q", message)
			}
		}
	})
}

// readAnswerPlainly says what a client must get for an answer of xAI: a token and
// its value, or an error with nothing in its body. Where the error may have a
// Retry-After, retryAfter is xAI's.
func readAnswerPlainly(raw []byte) (status int, body, value, retryAfter string) {
	answer, err := (&rawAnswer{raw}).RoundTrip(httptest.NewRequest(http.MethodPost, "/", nil)) //nolint:noctx // nothing is sent
	if err != nil {
		return http.StatusBadGateway, "", "", ""
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusTooManyRequests {
		return http.StatusServiceUnavailable, "", "", answer.Header.Get("Retry-After")
	}
	content, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode/100 == 2 {
		var decoded any
		if value, _, err := xaitest.ReadToken(content); err == nil && json.Unmarshal(content, &decoded) == nil && !xaitest.HoldsKey(decoded, fuzzKey) {
			return http.StatusOK, string(content), value, ""
		}
	}
	return http.StatusBadGateway, "", "", ""
}

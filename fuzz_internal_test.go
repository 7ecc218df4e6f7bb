// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// FuzzUnmarshalCaddyfile looks for a block that crashes the parser, or that it
// accepts although its options are invalid.
func FuzzUnmarshalCaddyfile(f *testing.F) {
	f.Add("api_key {env.A}\nexpires_after 90s\nretries 0\nmethods GET POST\npass_thru")
	f.Add("session `{\"a\": [1e3, {}]}`\ntimeout 5s\nrate_limit 3 1h {header.A}")
	f.Add("endpoint https://u:p@[::1]:99/a?b#c\ntrusted_origins capacitor://localhost *")
	f.Add("rate_limit off\ntransport http {\n\ttls\n}\n}")
	f.Fuzz(func(t *testing.T, block string) {
		handler := new(Handler)
		err := handler.UnmarshalCaddyfile(caddyfile.NewTestDispenser(directive + " {\n" + block + "\n}"))
		if err == nil && handler.Validate() != nil {
			t.Errorf("accepted, but %v", handler.Validate())
		}
	})
}

// FuzzReadAnswer looks for an answer of xAI that yields neither a usable token nor
// an error that is safe to log.
func FuzzReadAnswer(f *testing.F) {
	const key = "xai-fuzz-key-0123456789"
	f.Add(200, `{"value":"a","expires_at":1790000000}`, "", "")
	f.Add(200, `{"value":" ","expires_at":1e999}`, "", "id")
	f.Add(429, `{"error":{"message":"wait"}}`, "Fri, 31 Dec 9999 23:59:59 GMT", key)
	f.Add(401, `{"error":"no `+key+` here"}`, "99999999999999999999", `xai-realtime-client-secret-a`)
	f.Add(503, `"`+strings.Repeat("\xff", 600), "-1", "")
	f.Fuzz(func(t *testing.T, status int, body, retryAfter, requestID string) {
		minted, err := readAnswer(&http.Response{
			StatusCode: status,
			Header:     http.Header{"Retry-After": {retryAfter}, "X-Request-Id": {requestID}},
			Body:       io.NopCloser(strings.NewReader(body)),
		}, key, time.Minute)
		if err == nil {
			if minted.value == "" || strings.ContainsAny(minted.value, " \r\n\t\x00") || !bytes.Equal(minted.body, []byte(body)) || minted.expiresAt <= 0 {
				t.Errorf("got %+v", minted)
			}
			return
		}
		failed, ok := errors.AsType[*mintError](err)
		if !ok || failures[failed.failure].status == 0 {
			t.Fatalf("got error %v", err)
		}
		for _, said := range []string{failed.message, failed.requestID} {
			if len(said) > maxMessage || strings.Contains(said, key) {
				t.Errorf("said %q", said)
			}
		}
		if failed.retryAfter < 0 || failed.retryAfter > maxRetryAfter {
			t.Errorf("asks to wait %s", failed.retryAfter)
		}
	})
}

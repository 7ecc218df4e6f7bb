// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

func TestParseRetryAfter(t *testing.T) {
	tests := []struct {
		name, value string
		want        time.Duration
	}{
		{"absent", "", 0},
		{"seconds", "7", 7 * time.Second},
		{"zero", "0", 0},
		{"negative", "-1", 0},
		{"a fraction", "1.5", 0},
		{"words", "soon", 0},
		{"more than can be", "99999999999999999999999", maxRetryAfter},
		{"more than a duration holds", "9223372036854775807", maxRetryAfter},
		{"a date to come", "Sat, 01 Jan 2000 00:00:30 GMT", 30 * time.Second},
		{"a date that is past", "Fri, 31 Dec 1999 23:59:59 GMT", 0},
		{"a date far away", "Fri, 31 Dec 9999 23:59:59 GMT", maxRetryAfter},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // whose clock starts with the year 2000
				if got := parseRetryAfter(test.value); got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
			})
		})
	}
}

func TestErrorMessage(t *testing.T) {
	tests := []struct {
		name, body, want string
	}{
		{"flat", `{"code": "unauthenticated", "error": "Invalid API key."}`, "Invalid API key."},
		{"nested", `{"error": {"message": "Slow down.", "type": "rate_limit", "code": "x"}}`, "Slow down."},
		{"another object", `{"detail": "N\u006f."}`, `{"detail":"No."}`},
		{"no JSON", "<h1>Bad Gateway</h1>", "<h1>Bad Gateway</h1>"},
		{"empty", "", ""},
		{"cut off", strings.Repeat("x", maxAnswer+1), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := errorMessage([]byte(test.body)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestRedact(t *testing.T) {
	const key = `xai-"key"`
	tests := []struct {
		name, text, want string
	}{
		{"the key", "bad key " + key + "!", "bad key [key]!"},
		{"the key as Go quotes it", `malformed "xai-\"key\""`, `malformed "[key]"`},
		{"a token", "got xai-realtime-client-secret-abc.def, \"xai-realtime-client-secret-ghi\"", `got [token] "[token]"`},
		{"nothing", "connection refused", "connection refused"},
		{"the key with a byte in it that is no UTF-8", "xai-\xff\"key\"", `xai-?"key"`},
		{"a token with such a byte in it", "xai-realtime-client\xff-secret-abc", "xai-realtime-client?-secret-abc"},
	}
	t.Run("the forms of a key with all that is escaped", func(t *testing.T) {
		const odd = `xai-abcdefgh"<\+/é&rest`
		message := errorMessage([]byte(`{"detail":"xai-abcdefgh\"<\\+/\u00e9&\u0072est."}`))
		for _, text := range []string{odd + ".", `xai-abcdefgh\"<\\+/é&rest.`, message} {
			if got := redact(text, odd); strings.Contains(got, "abcd") || strings.Contains(got, "est") || !strings.Contains(got, "[key].") && !strings.Contains(got, `[key]."`) {
				t.Errorf("got %q", got)
			}
		}
	})
	t.Run("a key in JSON inside of JSON", func(t *testing.T) {
		for _, text := range []string{`{"a":"{\"b\":\"xai\\\\u002d0123456789\"}"}`, `xai\\u002d0123456789`, `xa\u0069-0123456789`} {
			if got := redact(text, "xai-0123456789"); got != "[withheld, since it holds the key in disguise]" {
				t.Errorf("got %q", got)
			}
		}
	})
	t.Run("a key that breaks off", func(t *testing.T) {
		if got := redact("header line: xai-0123456789abc", "xai-0123456789abcdef"); got != "header line: [key]" {
			t.Errorf("got %q", got)
		}
	})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := redact(test.text, key); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	t.Run("shortens after it has cut secrets out", func(t *testing.T) {
		got := redact(strings.Repeat("ü", 254)+"12"+key+"34567890", key)
		if len(got) > maxMessage || !utf8.ValidString(got) || strings.Contains(got, "xai-") {
			t.Errorf("got %d bytes: %q", len(got), got)
		}
	})
}

func TestParseToken(t *testing.T) {
	const lifetime = 5 * time.Minute
	large := `{"value":"a","pad":"` + strings.Repeat("x", maxAnswer) + `"}`
	tests := []struct {
		name, body, wantErr string
		expiresAt           int64 // 0 for what we asked for
	}{
		{"seconds", `{"value":"a","expires_at":1790000000}`, "", 1790000000},
		{"milliseconds", `{"value":"a","expires_at":1790000000999}`, "", 1790000000},
		{"a float", `{"value":"a","expires_at":1.79e9}`, "", 1790000000},
		{"no expiry", `{"value":"a"}`, "", 0},
		{"an expiry that is no number", `{"value":"a","expires_at":"soon"}`, "", 0},
		{"an expiry that is negative", `{"value":"a","expires_at":-1}`, "", 0},
		{"an expiry that is absurd", `{"value":"a","expires_at":1e300}`, "", 0},
		{"more fields", `{"value":"a","expires_at":1790000000,"session":{"value":""}}`, "", 1790000000},
		{"empty", ``, "it is not a JSON object", 0},
		{"no JSON", `<html>`, "it is not a JSON object", 0},
		{"an array", `["a"]`, "it is not a JSON object", 0},
		{"something behind it", `{"value":"a"}{}`, "it is not a JSON object", 0},
		{"null", `null`, "its value is not a non-empty string", 0},
		{"no value", `{}`, "its value is not a non-empty string", 0},
		{"a value in capitals", `{"Value":"a"}`, "its value is not a non-empty string", 0},
		{"a value that is null", `{"value":null}`, "its value is not a non-empty string", 0},
		{"a value that is a number", `{"value":1}`, "its value is not a non-empty string", 0},
		{"a value that is empty", `{"value":""}`, "its value is not a non-empty string", 0},
		{"a value with a space", `{"value":"a b"}`, "its value has characters that would need escaping", 0},
		{"a value with a line break", `{"value":"a\n"}`, "its value has characters that would need escaping", 0},
		{"a value with a control character", `{"value":"a\u0000"}`, "its value has characters that would need escaping", 0},
		{"a value that is no UTF-8", "{\"value\":\"a\xff\"}", "its value has characters that would need escaping", 0},
		{"over 64 KiB", large, "it is over 64 KiB", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, err := parseToken([]byte(test.body), lifetime)
				if test.wantErr != "" {
					if err == nil || err.Error() != test.wantErr {
						t.Errorf("got error %v, want %s", err, test.wantErr)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				want := test.expiresAt
				if want == 0 {
					want = time.Now().Add(lifetime).Unix()
				}
				if got.Value != "a" || string(got.Body) != test.body || got.ExpiresAt != want {
					t.Errorf("got %+v, want expiry %d", got, want)
				}
				if got.ID != "ca978112ca1bbdca" { // the beginning of the SHA-256 of "a"
					t.Errorf("got the id %s", got.ID)
				}
			})
		})
	}
}

func TestFinalFailure(t *testing.T) {
	for status, want := range map[int]error{
		http.StatusMovedPermanently:    ErrRedirect,
		http.StatusTemporaryRedirect:   ErrRedirect,
		http.StatusBadRequest:          ErrRefused,
		http.StatusUnauthorized:        ErrAuth,
		http.StatusForbidden:           ErrAuth,
		http.StatusUnprocessableEntity: ErrRefused,
		http.StatusNotImplemented:      ErrFailed,
	} {
		if got := finalFailure(status, ""); !errors.Is(got, want) {
			t.Errorf("%d is %q, want %q", status, got, want)
		}
	}
}

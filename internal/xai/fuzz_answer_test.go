// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/xaitest"
)

const (
	fuzzKey     = "xai-fuzz-key-0123456789"
	tokenPrefix = "xai-realtime-client-secret-"
)

// FuzzRetryAfter compares how a Retry-After is read with what RFC 9110 says of it.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{
		"", "0", "1", "007", "-1", "+1", "1.5", "1e3", "1_000", " 1", "0x10", "31536000", "31536001", "9223372036854775807",
		"18446744073709551616", "soon", "Fri, 31 Dec 9999 23:59:59 GMT", "Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 2094 08:49:37 CET",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		before := time.Now()
		wait := parseRetryAfter(value)
		if wait < 0 || wait > time.Hour {
			t.Fatalf("asks to wait %s", wait)
		}
		header := ""
		if wait > 0 {
			header = strconv.Itoa(int(math.Ceil(wait.Seconds())))
		}
		xaitest.CheckRetryAfter(t, header, value, before)
	})
}

// FuzzRedact looks for text of xAI's, or of the network, from which the key or a
// token is not cut out.
func FuzzRedact(f *testing.F) {
	f.Add("bad key "+fuzzKey, fuzzKey)
	f.Add("xai-fuzz\xff-key-0123456789", fuzzKey)
	f.Add("xai-realtime-client\xff-secret-abc", fuzzKey)
	f.Add(tokenPrefix+tokenPrefix+`"`+tokenPrefix+"<", fuzzKey)
	f.Add(strings.Repeat("ü", 254)+"12"+fuzzKey, fuzzKey)
	f.Add(`malformed "xai-\"key\"-0123456789"`, `xai-"key"-0123456789`)
	f.Add("xai-fuzz-key-xai-fuzz-key-xai-fuzz", "xai-fuzz-key-xai-fuzz")
	f.Add(`{"message":"{\"key\":\"xai\\u002dfuzz-key-0123456789\"}"}`, fuzzKey)
	f.Fuzz(func(t *testing.T, text, key string) {
		if !regexp.MustCompile(`^[[:graph:]]{16,}$`).MatchString(key) || strings.ContainsAny(key, "[]?") {
			t.Skip() // no key that there could be, or one that is like our own marks
		}
		got := redact(text, key)
		if len(got) > 512 || !utf8.ValidString(got) {
			t.Errorf("got %d bytes: %q", len(got), got)
		}
		quoted := strconv.Quote(key)
		escaped := strings.ReplaceAll(got, `\`, "")
		if strings.Contains(got, key) || strings.Contains(got, quoted[1:len(quoted)-1]) || strings.Contains(got, tokenPrefix) ||
			!strings.Contains(key, `\`) && strings.Contains(escaped, key) {
			t.Errorf("%q was left of %q", got, text)
		}
	})
}

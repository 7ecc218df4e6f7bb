// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package limit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
)

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		name   string
		count  int
		window time.Duration
		want   string
	}{
		{"the least", 1, 1, ""},
		{"the most", 1_000_000, 744 * time.Hour, ""},
		{"no count", 0, time.Minute, "the count 0 is out of range"},
		{"a negative count", -1, time.Minute, "the count -1 is out of range"},
		{"a count too large", 1_000_001, time.Minute, "the count 1000001 is out of range"},
		{"no window", 1, 0, "the window 0s is out of range"},
		{"a negative window", 1, -1, "the window -1ns is out of range"},
		{"a window too long", 1, 744*time.Hour + 1, "the window 744h0m0.000000001s is out of range"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := limit.Limit{Count: test.count, Window: test.window}.Validate()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestHash holds that hashes stay what they are: others keep counts under them.
func TestHash(t *testing.T) {
	claim := limit.Claim{Limit: limit.Limit{Name: "user", Count: 10, Window: time.Minute}, Client: "alice"}
	const want = "jCxgnsJdwKGvT9B92ttF8A"
	if got := claim.Hash(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	claim.Count = 11
	if got := claim.Hash(); got != want {
		t.Error("another count makes another limit")
	}
	seen := map[string]bool{}
	for _, texts := range [][]string{{}, {""}, {"", ""}, {"a", "b"}, {"ab"}, {"ab", ""}, {"", "ab"}, {"b", "a"}} {
		hash := limit.Hash(texts...)
		if seen[hash] || len(hash) != 22 {
			t.Errorf("%q: got %s", texts, hash)
		}
		seen[hash] = true
	}
}

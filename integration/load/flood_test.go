// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestFlood has others ask while some flood the site.
func TestFlood(t *testing.T) {
	const (
		flooders = 8
		others   = 30
		limit    = 5
	)
	tests := []struct {
		name   string
		from   func(n int64) string // the address of the flood's n-th request
		tokens func(asked int64) int64
	}{
		{"from one address", func(int64) string { return "192.0.2.1" }, func(int64) int64 { return limit }},
		{"from an address of one /64 each", func(n int64) string { return fmt.Sprintf("2001:db8::%x", n&0xffff) }, func(int64) int64 { return limit }},
		{"from a new address each", func(n int64) string { return fmt.Sprintf("10.%d.%d.%d", n>>16&0xff, n>>8&0xff, n&0xff) }, func(asked int64) int64 { return asked }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := caddytest.Start(t, caddytest.NewUpstream(t), caddytest.Site(fmt.Sprintf("rate_limit %d 24h", limit)))
			var asked, got atomic.Int64
			stop := caddytest.KeepAsking(flooders, func() {
				answer, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session", caddytest.Forwarded(test.from(asked.Add(1)))...)
				switch {
				case err != nil:
					t.Error(err)
				case answer.StatusCode == http.StatusOK:
					got.Add(1)
				case answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") == "":
					t.Errorf("the flood got %d", answer.StatusCode)
				}
			})
			caddytest.Eventually(t, "the flood is on", func() bool { return asked.Load() > 500 })
			var slowest time.Duration
			for other := range others {
				from := caddytest.Forwarded(fmt.Sprintf("198.51.100.%d", other))
				for i := range limit + 1 {
					start := time.Now()
					answer := s.Post(from...)
					slowest = max(slowest, time.Since(start))
					if want := i < limit; (answer.StatusCode == http.StatusOK) != want {
						t.Fatalf("request %d of another client got %d", i+1, answer.StatusCode)
					}
				}
			}
			stop()
			if want := test.tokens(asked.Load()); got.Load() != want {
				t.Errorf("the flood of %d requests got %d tokens, want %d", asked.Load(), got.Load(), want)
			}
			if strings.Contains(s.ReadFile("caddy.log"), `"level":"error"`) {
				t.Error("the flood fills the log")
			}
			if slowest > 2*time.Second {
				t.Errorf("a request of another client took %s", slowest)
			}
			t.Logf("%d requests of the flood; the slowest of another client took %s", asked.Load(), slowest)
		})
	}
}

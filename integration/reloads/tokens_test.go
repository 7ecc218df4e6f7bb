// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package reloads

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// TestTokensOverReloads follows every token through a hundred reloads under load.
func TestTokensOverReloads(t *testing.T) {
	const clients, reloads = 6, 100
	for name, site := range map[string]string{
		"minting":     caddytest.Site("rate_limit off"),
		"prefetching": caddytest.Site("rate_limit off", "prefetch 8"),
	} {
		t.Run(name, func(t *testing.T) {
			up := caddytest.NewUpstream(t)
			var minted, handedOut caddytest.Tokens
			up.Script(slices.Repeat([]sandbox.Fault{minted.Remember(t)}, 200_000)...)
			s := caddytest.Start(t, up, site)
			before := s.Metrics()

			var broken atomic.Int64
			stop := caddytest.KeepAsking(clients, func() {
				got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session")
				if err != nil {
					broken.Add(1)
					return
				}
				if err := handedOut.Add(got); err != nil {
					t.Error(err)
				} else if !minted.Has(got) {
					t.Error("a token was handed out that xAI did not mint")
				}
			})
			for range reloads {
				served := handedOut.Count()
				caddytest.Eventually(t, "the config has served", func() bool { return handedOut.Count() >= served+2*clients })
				if err := s.Load(site); err != nil {
					t.Error(err)
					break
				}
			}
			stop()

			// The last stock is thrown away with its config.
			if err := s.Load(caddytest.Site("rate_limit off")); err != nil {
				t.Fatal(err)
			}
			caddytest.Eventually(t, "nothing is in stock", func() bool { return s.Prefetched() == 0 })
			var issued, discarded, cut float64
			for series, value := range s.Metrics() {
				grown := value - before[series]
				switch series = strings.TrimPrefix(series, "caddy_xai_ephemeral_token_"); {
				case strings.HasPrefix(series, "issued_total"):
					issued += grown
				case strings.HasPrefix(series, "discarded_total"):
					discarded += grown
				case series == `upstream_requests_total{code="error"}`:
					cut += grown // by a reload or by a client that left
				}
			}
			t.Logf("minted %d, issued %v, discarded %v, calls cut %v; received %d, connections broken %d",
				minted.Count(), issued, discarded, cut, handedOut.Count(), broken.Load())
			if unaccounted := float64(minted.Count()) - issued - discarded; unaccounted < 0 || unaccounted > cut {
				t.Errorf("%v of %d tokens are unaccounted for, and %v calls were cut", unaccounted, minted.Count(), cut)
			}
			if unread := int(issued) - handedOut.Count(); unread < 0 || unread > int(broken.Load()) {
				t.Errorf("%v tokens were issued and %d received, but %d connections broke", issued, handedOut.Count(), broken.Load())
			}
			if broken.Load() > reloads*clients {
				t.Errorf("%d connections broke", broken.Load())
			}
		})
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package reloads

import (
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestReloadsWithStock throws a full stock away a hundred times. TestMain looks
// for goroutines that stayed behind.
func TestReloadsWithStock(t *testing.T) {
	const reloads = 100
	site := func(seconds int) string {
		return strings.Replace(siteWithLifetime(seconds), "rate_limit off", "rate_limit off\n\t\tprefetch 2", 1)
	}
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, site(100))
	before := s.Metrics()
	for i := range reloads {
		postToConfig(t, s, up, 100+i)
		s.WaitPrefetched(2)
		s.Reload(site(101 + i))
	}
	after := s.Metrics()
	grown := func(series string) float64 {
		series = "caddy_xai_ephemeral_token_" + series
		return after[series] - before[series]
	}
	if n := s.Prefetched(); n != 0 {
		t.Errorf("%d tokens are kept after a reload", n)
	}
	if n := grown(`discarded_total{reason="unloaded"}`); n != 2*reloads {
		t.Errorf("%v tokens were thrown away, want %d", n, 2*reloads)
	}
	accounted := grown(`issued_total{source="minted"}`) + grown(`issued_total{source="prefetched"}`) + 2*reloads
	if n := float64(len(up.Requests())); n != accounted {
		t.Errorf("xAI minted %v tokens, and %v were handed out or thrown away", n, accounted)
	}
	caddytest.Eventually(t, "no connection is open", func() bool { return up.OpenConnections() == 0 })
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// remember has the upstream note the tokens that it mints.
func (s *tokens) remember(t *testing.T) sandbox.Fault {
	return func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
		recorder := httptest.NewRecorder()
		mint(recorder, r)
		if err := s.add(answer{recorder.Result(), recorder.Body.String()}); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
	}
}

func (s *tokens) has(got answer) bool {
	var token tokenJSON
	_ = json.Unmarshal([]byte(got.body), &token)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[token.Value]
}

// TestTokensOverReloads follows every token through a hundred reloads under load.
func TestTokensOverReloads(t *testing.T) {
	const clients, reloads = 6, 100
	for name, site := range map[string]string{
		"minting":     simpleSite,
		"prefetching": strings.Replace(simpleSite, "rate_limit off", "rate_limit off\n\t\tprefetch 8", 1),
	} {
		t.Run(name, func(t *testing.T) {
			up := newUpstream(t)
			var minted, handedOut tokens
			up.Script(slices.Repeat([]sandbox.Fault{minted.remember(t)}, 200_000)...)
			s := startCaddy(t, up, site)
			before := s.metricValues()

			var broken atomic.Int64
			stop := keepAsking(clients, func() {
				got, err := s.try(t.Context(), http.MethodPost, s.url+"/session")
				if err != nil {
					broken.Add(1)
					return
				}
				if err := handedOut.add(got); err != nil {
					t.Error(err)
				} else if !minted.has(got) {
					t.Error("a token was handed out that xAI did not mint")
				}
			})
			for range reloads {
				served := handedOut.count()
				eventually(t, "the config has served", func() bool { return handedOut.count() >= served+2*clients })
				if err := s.load(site); err != nil {
					t.Error(err)
					break
				}
			}
			stop()

			// The last stock is thrown away with its config.
			if err := s.load(simpleSite); err != nil {
				t.Fatal(err)
			}
			eventually(t, "nothing is in stock", func() bool { return s.prefetched() == 0 })
			var issued, discarded, cut float64
			for series, value := range s.metricValues() {
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
				minted.count(), issued, discarded, cut, handedOut.count(), broken.Load())
			if unaccounted := float64(minted.count()) - issued - discarded; unaccounted < 0 || unaccounted > cut {
				t.Errorf("%v of %d tokens are unaccounted for, and %v calls were cut", unaccounted, minted.count(), cut)
			}
			if unread := int(issued) - handedOut.count(); unread < 0 || unread > int(broken.Load()) {
				t.Errorf("%v tokens were issued and %d received, but %d connections broke", issued, handedOut.count(), broken.Load())
			}
			if broken.Load() > reloads*clients {
				t.Errorf("%d connections broke", broken.Load())
			}
		})
	}
}

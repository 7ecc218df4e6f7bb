// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package limit_test

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
)

// TestMillionsOfClients has two million clients take a token each, while one that is
// over its limit keeps asking, and all of them use up a limit of the site.
func TestMillionsOfClients(t *testing.T) {
	store := limit.NewMemory()
	each := limit.Limit{Name: "client", Count: 1, Window: 24 * time.Hour}
	site := limit.Claim{Limit: limit.Limit{Name: "site", Count: 500_000, Window: 24 * time.Hour}}
	abuser := limit.Claim{Limit: each, Client: "abuser"}
	mustTake(t, store, abuser, site)
	before := heap()
	granted := 1
	for i := range 2_000_000 {
		claims := []limit.Claim{{Limit: each, Client: strconv.Itoa(i)}, site}
		if granted >= site.Count {
			claims = claims[:1] // of a path without a limit of the site
		}
		mustTake(t, store, claims...)
		granted++
		if i%100_000 == 0 {
			if _, err := store.Take(t.Context(), "", []limit.Claim{abuser}); err == nil {
				t.Fatalf("after %d clients the one that keeps asking is forgotten", i)
			}
			_ = store.Wait("", site)
		}
	}
	if wait := store.Wait("", site); wait == 0 {
		t.Error("the limit of the site is forgotten")
	}
	grown := float64(heap()-before) / 1e6
	t.Logf("they take %.0f MB", grown)
	if grown > 200 {
		t.Errorf("they take %.0f MB", grown)
	}
	runtime.KeepAlive(store)
}

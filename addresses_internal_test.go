// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// TestMillionAddresses floods the limiter with clients it has never seen, while
// one that is over its limit keeps asking.
func TestMillionAddresses(t *testing.T) {
	const addresses = 1_000_000
	before := heap()
	limiter := newTestLimiter(t, 1, 24*time.Hour)
	abuser := limitedClient{byAddress: true, id: "192.0.2.1"}
	limiter.take(abuser)
	for i := range addresses {
		limiter.take(limitedClient{byAddress: true, id: fmt.Sprintf("2001:db8:%x:%x::/64", i>>16, i&0xffff)})
		if i%(maxClients/2) == 0 {
			if putBack, _ := limiter.take(abuser); putBack != nil {
				t.Fatalf("after %d addresses the limit of the one that keeps asking is forgotten", i)
			}
		}
	}
	if n := limiter.buckets.Len(); n != maxClients {
		t.Errorf("remembers %d clients, want %d", n, maxClients)
	}
	grown := heap() - before
	t.Logf("%.1f MB for %d addresses", float64(grown)/1e6, addresses)
	if grown > 20e6 {
		t.Errorf("they take %d bytes", grown)
	}
	runtime.KeepAlive(limiter)
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func newTestLimiter(t *testing.T, count int, window time.Duration) *rateLimiter {
	t.Helper()
	limiter, err := newRateLimiter(&RateLimit{Count: count, Window: caddy.Duration(window)})
	if err != nil {
		t.Fatal(err)
	}
	return limiter
}

func TestRateLimiter(t *testing.T) {
	alice, bob := limitedClient{id: "alice"}, limitedClient{id: "bob"}

	t.Run("gives the count at once and refills it evenly", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			limiter := newTestLimiter(t, 3, time.Minute)
			for range 3 {
				if putBack, _ := limiter.take(alice); putBack == nil {
					t.Fatal("refused within the count")
				}
			}
			putBack, wait := limiter.take(alice)
			if putBack != nil || wait.Round(time.Millisecond) != 20*time.Second {
				t.Fatalf("got wait %s, want 20s", wait)
			}
			time.Sleep(wait - time.Millisecond)
			if putBack, _ := limiter.take(alice); putBack != nil {
				t.Error("admitted before the wait was over")
			}
			time.Sleep(2 * time.Millisecond)
			if putBack, _ := limiter.take(alice); putBack == nil {
				t.Error("refused after the wait")
			}
		})
	})
	t.Run("keeps clients apart", func(t *testing.T) {
		limiter := newTestLimiter(t, 1, time.Hour)
		limiter.take(alice)
		if putBack, _ := limiter.take(bob); putBack == nil {
			t.Error("bob pays for alice")
		}
		if putBack, _ := limiter.take(limitedClient{id: "alice", byAddress: true}); putBack == nil {
			t.Error("an address pays for a user of that name")
		}
	})
	t.Run("puts back exactly what was taken", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			limiter := newTestLimiter(t, 2, time.Hour)
			putBack, _ := limiter.take(alice)
			limiter.take(alice)
			time.Sleep(time.Second) // a mint takes its time
			putBack()
			if again, _ := limiter.take(alice); again == nil {
				t.Error("what was put back is not there")
			}
			if again, _ := limiter.take(alice); again != nil {
				t.Error("more was put back than taken")
			}
		})
	})
	t.Run("never holds more than the count", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			limiter := newTestLimiter(t, 2, time.Minute)
			putBack, _ := limiter.take(alice)
			time.Sleep(time.Hour)
			putBack()
			for range 2 {
				limiter.take(alice)
			}
			if again, _ := limiter.take(alice); again != nil {
				t.Error("the bucket overflowed")
			}
		})
	})
	t.Run("holds for concurrent requests of one client", func(t *testing.T) {
		limiter := newTestLimiter(t, 10, 24*time.Hour)
		var admitted atomic.Int32
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				if putBack, _ := limiter.take(alice); putBack != nil {
					admitted.Add(1)
				}
			})
		}
		group.Wait()
		if admitted.Load() != 10 {
			t.Errorf("admitted %d, want 10", admitted.Load())
		}
	})
	t.Run("forgets the clients it has not seen for longest", func(t *testing.T) {
		limiter := newTestLimiter(t, 1, 24*time.Hour)
		limiter.take(alice)
		limiter.take(bob)
		for i := range maxClients - 1 {
			limiter.take(limitedClient{id: strconv.Itoa(i)})
			if i == 0 {
				limiter.take(bob)
			}
		}
		if n := limiter.buckets.Len(); n != maxClients {
			t.Errorf("remembers %d clients, want %d", n, maxClients)
		}
		if putBack, _ := limiter.take(bob); putBack != nil {
			t.Error("bob was forgotten, who was seen later")
		}
		if putBack, _ := limiter.take(alice); putBack == nil {
			t.Error("alice was not forgotten")
		}
	})
}

func TestNetwork(t *testing.T) {
	tests := []struct {
		name, address, want string
	}{
		{"IPv4", "192.0.2.1", "192.0.2.1"},
		{"IPv4 in IPv6 form", "::ffff:192.0.2.1", "192.0.2.1"},
		{"IPv6 by its network", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"IPv6 with a zone", "fe80::1%eth0", "fe80::/64"},
		{"a Unix socket", "@", "@"},
		{"a name", "alice", "alice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := network(test.address); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

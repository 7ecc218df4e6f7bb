// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

func TestRefusals(t *testing.T) {
	const latency = 150 * time.Millisecond
	limited := func(seconds int) sandbox.Fault {
		return sandbox.Status(http.StatusTooManyRequests, "Retry-After", strconv.Itoa(seconds))
	}
	// storm asks many times at once, and returns how many got a token.
	storm := func(t *testing.T, c *Client, key string) int {
		t.Helper()
		var group sync.WaitGroup
		var mu sync.Mutex
		minted := 0
		for range 100 {
			group.Go(func() {
				if mint(t, c, key).failed == nil {
					mu.Lock()
					defer mu.Unlock()
					minted++
				}
			})
		}
		group.Wait()
		return minted
	}
	wantCalls := func(t *testing.T, xai *memoryUpstream, want int) {
		t.Helper()
		if n := xai.called(); n != want {
			t.Errorf("xAI was called %d times, want %d", n, want)
		}
	}

	t.Run("a refused key is not tried again for a second, then by one call", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Latency = latency
			want(t, c, "wrong", ErrAuth)
			wantCalls(t, xai, 1)
			for range 9 {
				time.Sleep(100 * time.Millisecond)
				if took := want(t, c, "wrong", ErrAuth).took; took != 0 {
					t.Errorf("the same error after %s", took)
				}
			}
			wantCalls(t, xai, 0)
			time.Sleep(100 * time.Millisecond)
			storm(t, c, "wrong")
			wantCalls(t, xai, 1)
		})
	})
	t.Run("a key that was repaired works after a second", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			want(t, c, "repaired", ErrAuth)
			xai.APIKey = "repaired"
			want(t, c, "repaired", ErrAuth)
			time.Sleep(time.Second)
			want(t, c, "repaired", nil)
			if n := storm(t, c, "repaired"); n != 100 {
				t.Errorf("%d of 100 got a token", n)
			}
		})
	})
	t.Run("a key that was repaired works, however slow xAI is", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(sandbox.Status(http.StatusForbidden))
			want(t, c, testKey, ErrAuth)
			time.Sleep(time.Second)
			xai.Latency = 4500 * time.Millisecond
			if took := want(t, c, testKey, nil).took; took != xai.Latency {
				t.Errorf("a token after %s", took)
			}
		})
	})
	t.Run("says nothing of another key", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, _ *memoryUpstream) {
			want(t, c, "wrong", ErrAuth)
			want(t, c, testKey, nil)
		})
	})
	t.Run("a Retry-After that fits is waited for, by everybody", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Latency = latency
			xai.Script(limited(7))
			var group sync.WaitGroup
			group.Go(func() { want(t, c, testKey, nil) })
			time.Sleep(time.Second)
			synctest.Wait()
			wantCalls(t, xai, 1)
			start := time.Now()
			if n := storm(t, c, testKey); n != 100 {
				t.Errorf("%d of 100 got a token", n)
			}
			if took := time.Since(start); took < 6*time.Second || took > 7*time.Second {
				t.Errorf("they waited for %s", took)
			}
			group.Wait()
			wantCalls(t, xai, 101)
		})
	})
	t.Run("one that does not fit is told at once, with what is left of it", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(limited(60))
			for _, left := range []time.Duration{time.Minute, 45 * time.Second, 30 * time.Second, 15 * time.Second} {
				if got := want(t, c, testKey, ErrRateLimited); got.failed.RetryAfter != left || got.took != 0 {
					t.Errorf("told to wait for %s, after %s, want %s", got.failed.RetryAfter, got.took, left)
				}
				time.Sleep(15 * time.Second)
			}
			wantCalls(t, xai, 1)
			want(t, c, testKey, nil)
			wantCalls(t, xai, 1)
		})
	})
	t.Run("one call decides when it is over", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Latency = latency
			xai.Script(limited(60), limited(60))
			want(t, c, testKey, ErrRateLimited)
			time.Sleep(time.Minute)
			if n := storm(t, c, testKey); n != 0 {
				t.Errorf("%d got a token", n)
			}
			wantCalls(t, xai, 2)
		})
	})
	t.Run("and another one if that one was called off", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(limited(60), sandbox.Hang())
			want(t, c, testKey, ErrRateLimited)
			time.Sleep(time.Minute)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := c.Mint(ctx, testKey, "a request", 2); err == nil {
				t.Error("a token of a call that hangs")
			}
			want(t, c, testKey, nil)
		})
	})
	t.Run("a connection that hangs holds up no decision", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(limited(60), sandbox.Hang())
			want(t, c, testKey, ErrRateLimited)
			time.Sleep(time.Minute)
			start := time.Now()
			if n := storm(t, c, testKey); n != 100 {
				t.Errorf("%d of 100 got a token", n)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("they waited for %s", took)
			}
		})
	})
	t.Run("those who wait for a decision hear of it even if strangers have its key forgotten", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(limited(60), sandbox.Delay(2*time.Second))
			want(t, c, testKey, ErrRateLimited)
			time.Sleep(time.Minute)
			var group sync.WaitGroup
			for range 10 {
				group.Go(func() {
					if took := want(t, c, testKey, nil).took; took != 2*time.Second {
						t.Errorf("a token after %s", took)
					}
				})
			}
			synctest.Wait()
			for i := range maxRefusals {
				want(t, c, "wrong"+strconv.Itoa(i), ErrAuth)
			}
			group.Wait()
		})
	})
	t.Run("a long one is heeded for five minutes, and an absurd one never told", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(limited(1_790_000_000))
			if failed := want(t, c, testKey, ErrRateLimited).failed; failed.RetryAfter != time.Hour {
				t.Errorf("told to wait for %s", failed.RetryAfter)
			}
			time.Sleep(5*time.Minute - time.Second)
			want(t, c, testKey, ErrRateLimited)
			wantCalls(t, xai, 1)
			time.Sleep(time.Second)
			want(t, c, testKey, nil)
		})
	})
	t.Run("a failure of xAI with a Retry-After is one, too", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
			xai.Script(sandbox.Status(http.StatusServiceUnavailable, "Retry-After", "60"))
			want(t, c, testKey, ErrFailed)
			want(t, c, testKey, ErrFailed)
			wantCalls(t, xai, 1)
		})
	})
	t.Run("how many keys are remembered is bounded", func(t *testing.T) {
		inFakeTime(t, func(t *testing.T, c *Client, _ *memoryUpstream) {
			for i := range 2 * maxRefusals {
				want(t, c, "wrong"+strconv.Itoa(i), ErrAuth)
			}
			if n := c.refusals.keys.Len(); n != maxRefusals {
				t.Errorf("%d keys are remembered", n)
			}
		})
	})
}

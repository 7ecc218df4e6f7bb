// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package stock

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// How the stock serves requests is tested beside the handler, with real tokens.
// Here is what nobody sees from outside.

const lifetime = 5 * time.Minute

// fake is a token.
type fake struct {
	freshUntil time.Time
	lifetime   time.Duration
}

func (f fake) FreshUntil() time.Time { return f.freshUntil }

func (f fake) Lifetime() time.Duration { return f.lifetime }

// newTestKeeper returns a keeper of one token for each key. Its Mint can be
// replaced.
func newTestKeeper() *Keeper[fake] {
	return NewKeeper(&Config[fake]{
		Size:     1,
		Lifetime: lifetime,
		Mint: func(context.Context, string) (fake, error) {
			return fake{time.Now().Add(lifetime / 2), lifetime}, nil
		},
		Paused:    func(error, time.Duration) {},
		Kept:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "kept", Help: "Tokens kept."}),
		Discarded: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "discarded_total", Help: "Tokens that nobody got."}, []string{"reason"}),
	})
}

func TestKeeper(t *testing.T) {
	keys := func(k *Keeper[fake]) int {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.stocks)
	}
	wantToken := func(t *testing.T, k *Keeper[fake], key string, want bool) {
		t.Helper()
		synctest.Wait()
		if _, ok := k.Take(key); ok != want {
			t.Errorf("there is a token for %s: %t, want %t", key, ok, want)
		}
	}

	t.Run("knows no key before its first token was handed out", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newTestKeeper()
			defer k.Close()
			wantToken(t, k, "a", false)
			if n := keys(k); n != 0 {
				t.Errorf("%d keys are kept", n)
			}
		})
	})
	t.Run("forgets a key that nobody asks for, and has room for another", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newTestKeeper()
			defer k.Close()
			for i := range MaxKeys + 1 {
				k.Replenish(strconv.Itoa(i))
			}
			wantToken(t, k, strconv.Itoa(MaxKeys-1), true)
			wantToken(t, k, strconv.Itoa(MaxKeys), false)
			if n := keys(k); n != MaxKeys {
				t.Errorf("%d keys are kept, want %d", n, MaxKeys)
			}
			time.Sleep(2 * lifetime)
			synctest.Wait()
			if n := keys(k); n != 0 {
				t.Errorf("%d keys are kept after a while", n)
			}
			k.Replenish("late")
			wantToken(t, k, "late", true)
		})
	})
	t.Run("hands out no stale token, however late the timer is", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newTestKeeper()
			defer k.Close()
			k.Replenish("a")
			synctest.Wait()
			k.stocks["a"].timer.Stop()
			time.Sleep(lifetime / 2)
			wantToken(t, k, "a", false)
		})
	})
	t.Run("goes quiet within the lifetime that tokens turn out to have", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newTestKeeper()
			defer k.Close()
			minted := 0
			k.config.Mint = func(context.Context, string) (fake, error) {
				minted++
				return fake{time.Now().Add(time.Second), 2 * time.Second}, nil
			}
			k.Replenish("a")
			time.Sleep(lifetime)
			synctest.Wait()
			if minted != 2 {
				t.Errorf("%d tokens of two seconds were minted for one request, want 2", minted)
			}
		})
	})
	t.Run("holds nobody up while it tells of a pause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newTestKeeper()
			defer k.Close()
			down := errors.New("down")
			k.config.Mint = func(context.Context, string) (fake, error) { return fake{}, down }
			var told error
			k.config.Paused = func(failure error, _ time.Duration) {
				told = failure
				if !k.mu.TryLock() {
					t.Error("requests would have to wait")
					return
				}
				k.mu.Unlock()
			}
			k.Replenish("a")
			synctest.Wait()
			if !errors.Is(told, down) {
				t.Errorf("told of %v", told)
			}
		})
	})
}

func TestIsFresh(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name       string
		freshUntil time.Time
		want       bool
	}{
		{"before its time", now.Add(time.Second), true},
		{"at its time", now, false},
		{"by the wall clock alone", now.Round(0).Add(time.Second), true},
		{"after its time by the wall clock", now.Round(0).Add(-time.Second), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := isFresh(fake{freshUntil: test.freshUntil}, now); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/stock"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

func TestPrefetch(t *testing.T) {
	t.Run("mints nothing before the first request, and then a stock", func(t *testing.T) {
		inFakeTime(t, 3, func(s *site) {
			time.Sleep(24 * time.Hour)
			s.wantCalls(0)
			s.want("a", 200, latency)
			s.wantCalls(1 + 3)
			time.Sleep(time.Second)
			s.want("a", 200, 0)
			s.wantCalls(1 + 3 + 1)
		})
	})
	t.Run("never makes a request wait for a refill", func(t *testing.T) {
		inFakeTime(t, 3, func(s *site) {
			s.fill("a")
			time.Sleep(latency / 2)
			var group sync.WaitGroup
			var mu sync.Mutex
			took := make(map[time.Duration]int)
			for range 10 {
				group.Go(func() {
					status, duration := s.ask(s.t.Context(), "a")
					mu.Lock()
					defer mu.Unlock()
					took[duration]++
					if status != 200 {
						s.t.Errorf("got %d", status)
					}
				})
			}
			group.Wait()
			if took[0] != 3 || took[latency] != 7 {
				s.t.Errorf("the answers took %v", took)
			}
			s.wantCalls(1 + 3 + 7 + 3)
			time.Sleep(latency)
			synctest.Wait()
			if n := s.kept(); n != 3 {
				s.t.Errorf("%d tokens are kept", n)
			}
		})
	})
	t.Run("hands out the oldest token first", func(t *testing.T) {
		inFakeTime(t, 2, func(s *site) {
			// Without that, a steady trickle of requests would let the others go stale.
			s.fill("a")
			for range 100 {
				time.Sleep(lifetime/4 - time.Second)
				s.want("a", 200, 0)
			}
			time.Sleep(time.Second)
			s.wantCalls(1 + 2 + 100)
		})
	})
	t.Run("keeps the tokens of each key apart", func(t *testing.T) {
		inFakeTime(t, 2, func(s *site) {
			s.fill("a")
			s.fill("b")
			for range 2 {
				s.want("a", 200, 0)
				s.want("b", 200, 0)
			}
			s.want("c", 200, latency)
		})
	})
	t.Run("starts with nothing for a key that xAI refuses", func(t *testing.T) {
		inFakeTime(t, 8, func(s *site) {
			s.xai.APIKey = "good"
			for i := range 10 {
				s.want("bad"+strconv.Itoa(i), 502, 0)
			}
			time.Sleep(time.Hour)
			s.wantCalls(10)
		})
	})
	t.Run("bounds how many keys it mints ahead for", func(t *testing.T) {
		inFakeTime(t, 1, func(s *site) {
			s.xai.Latency = time.Millisecond // or the first tokens were stale before the last
			const latency = time.Millisecond
			for i := range stock.MaxKeys + 100 {
				s.want(strconv.Itoa(i), 200, latency)
			}
			time.Sleep(time.Second)
			s.wantCalls(2*stock.MaxKeys + 100)
			s.want("0", 200, 0)
			s.want(strconv.Itoa(stock.MaxKeys), 200, latency)
			time.Sleep(2 * lifetime)
			s.want(strconv.Itoa(stock.MaxKeys), 200, latency)
			time.Sleep(time.Second)
			s.want(strconv.Itoa(stock.MaxKeys), 200, 0)
		})
	})
	t.Run("bounds how many calls it makes at the same time", func(t *testing.T) {
		inFakeTime(t, maxPrefetch, func(s *site) {
			s.want("a", 200, latency)
			time.Sleep(maxPrefetch / stock.MaxRefills * latency)
			synctest.Wait()
			if n, most := s.kept(), s.xai.mostAtOnce(); n != maxPrefetch || most != stock.MaxRefills {
				s.t.Errorf("%d tokens are kept, and %d calls were made at once", n, most)
			}
		})
	})
	t.Run("off means off", func(t *testing.T) {
		inFakeTime(t, 0, func(s *site) {
			s.want("a", 200, latency)
			time.Sleep(time.Second)
			s.want("a", 200, latency)
			s.wantCalls(2)
		})
	})
}

func TestPrefetchedTokensGoStale(t *testing.T) {
	t.Run("after half their lifetime, and an idle site goes quiet", func(t *testing.T) {
		inFakeTime(t, 4, func(s *site) {
			s.fill("a")
			time.Sleep(lifetime/2 - latency - time.Second) // the age is counted from before the call
			s.wantCalls(1 + 4)
			time.Sleep(time.Second)
			s.wantCalls(1 + 4 + 4) // replaced, since somebody asked within the last lifetime
			time.Sleep(7 * 24 * time.Hour)
			s.wantCalls(1 + 4 + 4)
			s.want("a", 200, latency)
			time.Sleep(time.Second)
			s.want("a", 200, 0)
		})
	})
	t.Run("and are replaced as long as somebody asks", func(t *testing.T) {
		inFakeTime(t, 1, func(s *site) {
			s.fill("a")
			for range 20 {
				time.Sleep(lifetime - 2*time.Second)
				s.want("a", 200, 0)
			}
		})
	})
}

func TestPrefetchLosesNoToken(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	wantDiscarded := func(s *site, reason string, want int, what func()) {
		s.t.Helper()
		before := counters(s.t)["discarded_"+reason]
		what()
		if n := counters(s.t)["discarded_"+reason] - before; n != want {
			s.t.Errorf("%d tokens were discarded as %s, want %d", n, reason, want)
		}
	}
	// askAndLeave has the client leave when the token is there.
	askAndLeave := func(s *site) {
		s.t.Helper()
		ctx, cancel := context.WithCancel(s.t.Context())
		s.xai.Script(func(w http.ResponseWriter, r *http.Request, mint http.HandlerFunc) {
			mint(w, r)
			cancel()
		})
		if status, took := s.ask(ctx, "a"); status != statusClientClosedRequest || took != latency {
			s.t.Errorf("got %d after %s", status, took)
		}
	}

	t.Run("whose client is gone before it is handed out", func(t *testing.T) {
		inFakeTime(t, 2, func(s *site) {
			s.fill("a")
			wantDiscarded(s, "client_gone", 0, func() {
				if status, took := s.ask(gone, "a"); status != statusClientClosedRequest || took != 0 {
					s.t.Errorf("got %d after %s", status, took)
				}
			})
			s.wantCalls(1 + 2)
			if n := s.kept(); n != 2 {
				s.t.Errorf("%d tokens are kept", n)
			}
		})
	})
	t.Run("whose client left while it was minted", func(t *testing.T) {
		inFakeTime(t, 2, func(s *site) {
			s.fill("a")
			s.xai.failWith(sandbox.Status(http.StatusNotImplemented))
			s.want("a", 200, 0)
			s.want("a", 200, 0)
			synctest.Wait()
			s.xai.failWith(nil)
			wantDiscarded(s, "client_gone", 0, func() { askAndLeave(s) })
			if n := s.kept(); n != 1 {
				s.t.Errorf("%d tokens are kept", n)
			}
		})
	})
	t.Run("that there is no room for", func(t *testing.T) {
		inFakeTime(t, 1, func(s *site) {
			s.fill("a")
			s.want("a", 200, 0)
			time.Sleep(latency / 2) // the refill comes first
			wantDiscarded(s, "client_gone", 1, func() { askAndLeave(s) })
		})
	})
	t.Run("when it is off", func(t *testing.T) {
		inFakeTime(t, 0, func(s *site) {
			wantDiscarded(s, "client_gone", 1, func() { askAndLeave(s) })
		})
	})
	t.Run("that went stale", func(t *testing.T) {
		inFakeTime(t, 3, func(s *site) {
			s.fill("a")
			wantDiscarded(s, "stale", 6, func() { time.Sleep(2 * lifetime) })
		})
	})
	t.Run("when the config is unloaded during a refill", func(t *testing.T) {
		inFakeTime(t, 3, func(s *site) {
			s.fill("a")
			s.want("a", 200, 0)
			s.wantCalls(1 + 3 + 1)
			wantDiscarded(s, "unloaded", 2, s.unload)
			if n := s.logs.FilterMessage("prefetching paused").Len(); n != 0 {
				s.t.Error("the end of the config was taken for a failure")
			}
			if s.xai.open != 0 {
				s.t.Errorf("%d calls go on", s.xai.open)
			}
			s.want("a", 200, latency) // a request that was under way
			time.Sleep(time.Hour)
			s.wantCalls(1 + 3 + 1 + 1)
		})
	})
	t.Run("under load", func(t *testing.T) {
		inFakeTime(t, 5, func(s *site) {
			var group sync.WaitGroup
			for i := range 50 {
				group.Go(func() {
					for j := range 50 {
						ctx, cancel := context.WithTimeout(s.t.Context(), time.Duration(1+(97*i+89*j)%400)*time.Millisecond)
						s.ask(ctx, strconv.Itoa(j%3))
						cancel()
						time.Sleep(time.Duration((83*i+79*j)%(1+i)) * 10 * time.Millisecond)
					}
				})
			}
			time.Sleep(time.Second)
			s.xai.failWith(sandbox.Status(http.StatusNotImplemented))
			time.Sleep(time.Second)
			s.xai.failWith(nil)
			group.Wait()
		})
	})
}

// TestPrefetchCost measures what prefetching costs a site with steady visitors:
// the tokens that are minted in an hour and never handed out.
func TestPrefetchCost(t *testing.T) {
	for _, perMinute := range []int{1, 5, 50} {
		t.Run(fmt.Sprintf("%d requests a minute", perMinute), func(t *testing.T) {
			inFakeTime(t, defaultPrefetch, func(s *site) {
				prefetched := counters(s.t)["issued_prefetched"]
				for range 60 * perMinute {
					s.ask(s.t.Context(), "a")
					time.Sleep(time.Minute / time.Duration(perMinute))
				}
				prefetched = counters(s.t)["issued_prefetched"] - prefetched
				handedOut := len(s.handedOut)
				wasted := float64(s.xai.called()-handedOut) / float64(handedOut)
				s.t.Logf("%d handed out, %d of them prefetched; %.3f minted in vain for each", handedOut, prefetched, wasted)
				if perMinute == 50 && wasted >= 0.1 {
					s.t.Error("too many")
				}
				if prefetched != handedOut-1 {
					s.t.Error("not all but the first were prefetched")
				}
			})
		})
	}
}

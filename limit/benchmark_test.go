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

var (
	minutely = limit.Limit{Name: "client", Count: 10, Window: time.Minute}
	daily    = limit.Limit{Name: "client", Count: 2000, Window: 24 * time.Hour}
	ceiling  = limit.Limit{Name: "site", Count: 100_000, Window: 24 * time.Hour}
)

func mustTake(tb testing.TB, store limit.Store, claims ...limit.Claim) limit.Taken {
	taken, err := store.Take(tb.Context(), "", claims)
	if err != nil {
		tb.Fatal(err)
	}
	return taken
}

// BenchmarkTake takes from limits that are never reached, since the tokens of a
// client's last time do not count any more, or are given back.
func BenchmarkTake(b *testing.B) {
	brief := limit.Limit{Name: "client", Count: 10, Window: time.Microsecond}
	for _, bench := range []struct {
		name     string
		limits   []limit.Limit
		giveBack bool
	}{
		{"one limit", []limit.Limit{brief}, false},
		{"one limit, and back", []limit.Limit{minutely}, true},
		{"three limits", []limit.Limit{brief, {Name: "another", Count: 10, Window: time.Microsecond}, {Name: "site", Count: 100, Window: time.Microsecond}}, false},
		{"three limits, and back", []limit.Limit{minutely, daily, ceiling}, true},
	} {
		for _, clients := range []int{1, 65_536} {
			b.Run(bench.name+", "+strconv.Itoa(clients)+" clients", func(b *testing.B) {
				names := clientNames(clients)
				store := limit.NewMemory()
				claims := make([]limit.Claim, len(bench.limits))
				i := 0
				b.ReportAllocs()
				for b.Loop() {
					i = (i + 7919) % len(names)
					taken := mustTake(b, store, fill(claims, bench.limits, names[i])...)
					if bench.giveBack {
						taken.GiveBack()
					}
				}
			})
		}
	}
}

func BenchmarkRefusal(b *testing.B) {
	store := limit.NewMemory()
	claims := []limit.Claim{{Limit: minutely, Client: "alice"}}
	for range minutely.Count {
		mustTake(b, store, claims...)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := store.Take(b.Context(), "", claims); err == nil && b.Elapsed() < minutely.Window {
			b.Fatal("over the limit")
		}
	}
}

// BenchmarkCeiling takes from a site's limit that is nearly used up, and gives back
// the token that is furthest from both ends now and then, which costs most.
func BenchmarkCeiling(b *testing.B) {
	store := limit.NewMemory()
	claim := limit.Claim{Limit: ceiling}
	var taken []limit.Taken
	for range ceiling.Count - 1 {
		taken = append(taken, mustTake(b, store, claim))
	}
	b.Run("take and give back", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mustTake(b, store, claim).GiveBack()
		}
	})
	b.Run("give back from the middle", func(b *testing.B) {
		for b.Loop() {
			middle := len(taken) / 2
			taken[middle].GiveBack()
			taken = append(taken[:middle], taken[middle+1:]...)
			taken = append(taken, mustTake(b, store, claim))
		}
	})
}

// BenchmarkMemory reports how much memory clients take.
func BenchmarkMemory(b *testing.B) {
	for _, bench := range []struct {
		name    string
		clients int
		tokens  int
		limits  []limit.Limit
	}{
		{"65536 clients with a token", 65_536, 1, []limit.Limit{minutely}},
		{"65536 clients with 10 tokens", 65_536, 10, []limit.Limit{minutely}},
		{"65536 clients with 10 tokens of three limits", 65_536, 10, []limit.Limit{minutely, daily, {Name: "site", Count: 1_000_000, Window: time.Hour}}},
		{"a million clients with a token", 1_000_000, 1, []limit.Limit{minutely}},
		{"65536 clients with 2000 tokens", 65_536, 2000, []limit.Limit{daily}},
		{"a ceiling of 100000", 1, 100_000, []limit.Limit{ceiling}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			names := clientNames(bench.clients)
			claims := make([]limit.Claim, len(bench.limits))
			var used float64
			for b.Loop() {
				before := heap()
				store := limit.NewMemory()
				for _, name := range names {
					for range bench.tokens {
						mustTake(b, store, fill(claims, bench.limits, name)...)
					}
				}
				used = float64(heap() - before)
				runtime.KeepAlive(store)
			}
			b.ReportMetric(used/1e6, "MB")
			b.ReportMetric(used/float64(bench.clients), "B/client")
		})
	}
}

func clientNames(count int) []string {
	names := make([]string, count)
	for i := range names {
		names[i] = "2001:db8:" + strconv.Itoa(i) + "::/64"
	}
	return names
}

func fill(claims []limit.Claim, limits []limit.Limit, client string) []limit.Claim {
	for i := range limits {
		claims[i] = limit.Claim{Limit: limits[i], Client: client}
		if limits[i].Name == "site" {
			claims[i].Client = ""
		}
	}
	return claims
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

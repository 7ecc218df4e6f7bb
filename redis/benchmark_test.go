// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
)

// threeLimits are claims of a client, and of all.
func threeLimits(client string) []limit.Claim {
	return []limit.Claim{
		{Limit: limit.Limit{Count: limit.MaxCount, Window: time.Minute}, Client: client},
		{Limit: limit.Limit{Count: limit.MaxCount, Window: 24 * time.Hour}, Client: client},
		{Limit: limit.Limit{Name: "site", Count: limit.MaxCount, Window: 24 * time.Hour}},
	}
}

// BenchmarkTake takes of one limit and of three, one after the other and many at once,
// on a server of the same machine.
func BenchmarkTake(b *testing.B) {
	server := startServer(b)
	for _, limits := range []int{1, 3} {
		for _, atOnce := range []int{1, 50} {
			b.Run(fmt.Sprintf("%d limits, %d at once", limits, atOnce), func(b *testing.B) {
				s := newStore(b, at("unix://"+server.socket, "timeout", "5s"))
				var mu sync.Mutex
				var times []time.Duration
				b.SetParallelism(max(1, atOnce/2))
				take := func(i int) {
					claims := threeLimits(strconv.Itoa(i % 1000))[:limits]
					asked := time.Now()
					s.take(claims...)
					mu.Lock()
					times = append(times, time.Since(asked))
					mu.Unlock()
				}
				if atOnce == 1 {
					for i := 0; b.Loop(); i++ {
						take(i)
					}
				} else {
					b.RunParallel(func(pb *testing.PB) {
						for i := 0; pb.Next(); i++ {
							take(i)
						}
					})
				}
				slices.Sort(times)
				b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
			})
		}
	}
}

// BenchmarkServerMemory reports how much memory of the server a token takes.
func BenchmarkServerMemory(b *testing.B) {
	for _, bench := range []struct{ clients, tokens int }{{10_000, 1}, {1000, 10}, {500, 100}, {10, 2000}, {1, 50_000}} {
		b.Run(fmt.Sprintf("%d clients with %d tokens", bench.clients, bench.tokens), func(b *testing.B) {
			server := startServer(b)
			s := newStore(b, at("unix://"+server.socket, "timeout", "5s"))
			used := 0
			for b.Loop() {
				before := server.memory()
				for client := range bench.clients {
					for range bench.tokens {
						s.take(threeLimits(strconv.Itoa(client))[1])
					}
				}
				used = server.memory() - before
			}
			b.ReportMetric(float64(used)/float64(bench.clients*bench.tokens), "B/token")
		})
	}
}

// memory returns how many bytes the server uses.
func (s *server) memory() (used int) {
	s.t.Helper()
	for line := range strings.Lines(s.redis("INFO", "memory").(string)) {
		if after, ok := strings.CutPrefix(line, "used_memory:"); ok {
			if _, err := fmt.Sscan(after, &used); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return used
}

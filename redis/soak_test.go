// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"cmp"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
)

// ledger has when tokens were handed out to a client: from and to when each of them
// can have been taken.
type ledger struct {
	mu     sync.Mutex
	tokens []struct{ asked, answered time.Time }
}

// TestSoak restarts the server again and again while clients ask of two stores, fail
// and give back, and holds that no window ever had a token too many, and that none was
// lost. REDIS_SOAK says for how long; an hour has sixty restarts.
func TestSoak(t *testing.T) {
	duration, err := time.ParseDuration(cmp.Or(os.Getenv("REDIS_SOAK"), "10s"))
	if err != nil {
		t.Fatal(err)
	}
	const clients, count, window = 8, 5, time.Second
	server := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	stores := []*store{newStore(t, at(server.address)), newStore(t, at("unix://"+server.socket))}
	ledgers := make([]ledger, clients)
	end := time.Now().Add(duration)
	ask := func(i int) {
		claim := limit.Claim{Limit: limit.Limit{Count: count, Window: window}, Client: strconv.Itoa(i % clients)}
		all := limit.Claim{Limit: limit.Limit{Name: "all", Count: limit.MaxCount, Window: limit.MaxWindow}}
		asked := time.Now()
		taken, err := stores[rand.IntN(len(stores))].ask(claim, all) //nolint:gosec // chance is all it takes
		answered := time.Now()
		time.Sleep(rand.N(10 * time.Millisecond)) //nolint:gosec // as above
		switch {
		case err != nil:
		case rand.IntN(3) == 0: //nolint:gosec // as above
			taken.GiveBack()
		default:
			ledger := &ledgers[i%clients]
			ledger.mu.Lock()
			defer ledger.mu.Unlock()
			ledger.tokens = append(ledger.tokens, struct{ asked, answered time.Time }{asked, answered})
		}
	}
	var group sync.WaitGroup
	for i := range 2 * clients {
		group.Go(func() {
			for time.Now().Before(end) {
				ask(i)
			}
		})
	}
	restarts := 0
	for pause := min(time.Minute, duration/3); time.Until(end) > pause; restarts++ {
		time.Sleep(pause)
		server.restart()
	}
	group.Wait()

	handedOut, full := 0, 0
	for i := range ledgers {
		tokens := ledgers[i].tokens
		handedOut += len(tokens)
		slices.SortFunc(tokens, func(a, b struct{ asked, answered time.Time }) int { return a.asked.Compare(b.asked) })
		for j := range max(0, len(tokens)-count) {
			switch span := tokens[j+count].answered.Sub(tokens[j].asked); {
			case span < window:
				t.Errorf("client %d got %d tokens in %s", i, count+1, span)
			case span < window+window/10:
				full++
			}
		}
	}
	t.Logf("%d tokens were handed out, with %d restarts; %d windows were full", handedOut, restarts, full)
	if full == 0 {
		t.Error("no window was full: nothing was tested")
	}
	for _, s := range stores {
		eventually(t, "the store works again", func() bool { return !s.fails(hourly(1)) })
	}
	if got := server.tokens() - 1; got != int64(handedOut) { // without the one that was just taken
		t.Errorf("the server counts %d tokens, and %d were handed out", got, handedOut)
	}
}

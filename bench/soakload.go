// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	steadyClients = 20
	soakedKeys    = 5
)

// soakLoad is everything that asks for tokens during a soak.
type soakLoad struct {
	address string
	pause   time.Duration // between the requests of a steady client
	client  *http.Client

	mu       sync.Mutex
	seed     maphash.Seed
	seen     map[uint64]struct{} // hashes of the tokens
	doubled  int
	limited  int
	refused  int
	broken   int // connections that failed without an answer
	left     int // clients that went away
	slow     int // slow clients that were answered
	mistakes []string
}

func newSoakLoad(address string, rate int) *soakLoad {
	return &soakLoad{
		address: address,
		pause:   time.Second * steadyClients / time.Duration(rate),
		client:  &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: steadyClients}, Timeout: answerLimit},
		seed:    maphash.MakeSeed(),
		seen:    make(map[uint64]struct{}),
	}
}

// run makes the load until ctx ends.
func (l *soakLoad) run(ctx context.Context) {
	defer l.client.CloseIdleConnections()
	var group sync.WaitGroup
	repeat := func(clients int, pause time.Duration, act func(context.Context)) {
		for range clients {
			group.Go(func() {
				ticker := time.NewTicker(pause)
				defer ticker.Stop()
				for {
					select {
					case <-ctx.Done():
						return
					case <-ticker.C:
						act(ctx)
					}
				}
			})
		}
	}
	repeat(steadyClients, l.pause, l.ask)
	repeat(5, 100*time.Millisecond, l.leave)
	repeat(5, 100*time.Millisecond, l.dawdle)
	group.Wait()
}

// ask is a steady client's request.
func (l *soakLoad) ask(ctx context.Context) {
	path, key, forwardedFor, want := "/session", "key-"+strconv.Itoa(chance(soakedKeys)), "192.0.2.1", http.StatusOK
	switch n := chance(100); {
	case n < 40:
		path = "/stock"
	case n < 50: // one address asks far too often
		path, want = "/limited", http.StatusTooManyRequests
	case n < 55: // and others only once
		path, forwardedFor = "/limited", fmt.Sprintf("2001:db8:%x:%x::1", chance(1<<16), chance(1<<16))
	case n < 56:
		key, want = refusedKey, http.StatusBadGateway
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.address+path, nil)
	if err != nil {
		l.record(path, want, 0, nil, err)
		return
	}
	req.Header.Set("X-Key", key)
	req.Header.Set("X-Forwarded-For", forwardedFor)
	resp, err := l.client.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			l.record(path, want, 0, nil, err)
		}
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if ctx.Err() == nil {
		l.record(path, want, resp.StatusCode, body, err)
	}
}

// record takes down how a request ended. Whoever is over a limit may also get a
// token now and then.
func (l *soakLoad) record(path string, want, status int, body []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.broken++
	case status == http.StatusOK && want != http.StatusBadGateway:
		l.add(path, body)
	case status != want:
		l.mistake(fmt.Sprintf("%s: got %d, want %d", path, status, want))
	case status == http.StatusTooManyRequests:
		l.limited++
	default:
		l.refused++
	}
}

// add takes down a token, of which it keeps only a hash.
func (l *soakLoad) add(path string, body []byte) {
	var token struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal(body, &token); err != nil || token.Value == "" {
		l.mistake(path + ": got an answer without a token")
		return
	}
	hash := maphash.String(l.seed, token.Value)
	if _, seen := l.seen[hash]; seen {
		l.doubled++
	}
	l.seen[hash] = struct{}{}
}

func (l *soakLoad) mistake(text string) {
	if len(l.mistakes) < 10 {
		l.mistakes = append(l.mistakes, text)
	}
}

// faults says what was wrong with the answers. A reload may break a connection
// of each client, which does not know yet that Caddy has hung up.
func (l *soakLoad) faults(reloads int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	faults := l.mistakes
	if l.doubled > 0 {
		faults = append(faults, fmt.Sprintf("%d tokens were handed out twice", l.doubled))
	}
	if most := (reloads + 1) * steadyClients; l.broken > most {
		faults = append(faults, fmt.Sprintf("%d connections broke, more than %d", l.broken, most))
	}
	if len(l.seen) == 0 || l.limited == 0 || l.refused == 0 || l.left == 0 || l.slow == 0 {
		faults = append(faults, "not everything was tried: "+l.describe())
	}
	return faults
}

func (l *soakLoad) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.describe()
}

func (l *soakLoad) describe() string {
	return fmt.Sprintf("%d tokens, %d over the limit, %d refused, %d clients left, %d slow ones answered, %d connections broke",
		len(l.seen), l.limited, l.refused, l.left, l.slow, l.broken)
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	steadyClients = 20
	soakClients   = steadyClients + 15 // that keep their connections
)

// What is to happen during a soak.
const (
	issued  = "tokens"
	limited = "over the limit"
	refused = "refused"
	hung    = "given up"
	ahead   = "asked ahead of their users"
	left    = "clients left"
	slow    = "slow ones answered"
	broken  = "connections broke"
	reloads = "reloads"
)

var soakEvents = []string{issued, limited, refused, hung, ahead, left, slow, broken, reloads}

// soakEventOf has what happened to requests that got no token, by their status.
var soakEventOf = map[int]string{
	http.StatusTooManyRequests: limited,
	http.StatusBadGateway:      refused,
	http.StatusGatewayTimeout:  hung,
	http.StatusForbidden:       ahead,
}

// soakLoad is everything that asks for tokens during a soak.
type soakLoad struct {
	address string
	pause   time.Duration // between the requests of a steady client
	client  *http.Client

	mu     sync.Mutex
	seed   maphash.Seed
	seen   map[uint64]struct{} // hashes of the tokens
	counts map[string]int      // of what happened
}

func newSoakLoad(address string, rate int) *soakLoad {
	return &soakLoad{
		address: address,
		pause:   time.Second * steadyClients / time.Duration(rate),
		client:  &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: soakClients}, Timeout: answerLimit},
		seed:    maphash.MakeSeed(),
		seen:    make(map[uint64]struct{}),
		counts:  make(map[string]int),
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
	repeat(5, 20*time.Millisecond, l.fail)
	repeat(5, 100*time.Millisecond, l.hang)
	repeat(5, 100*time.Millisecond, l.speculate)
	repeat(5, 100*time.Millisecond, l.leave)
	repeat(5, 100*time.Millisecond, l.dawdle)
	group.Wait()
}

// ask is a steady client's request.
func (l *soakLoad) ask(ctx context.Context) {
	path, key, forwardedFor, want := "/session", "key-"+strconv.Itoa(chance(5)), "192.0.2.1", http.StatusOK
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
	l.send(ctx, http.MethodPost, path, want, http.Header{"X-Key": {key}, "X-Forwarded-For": {forwardedFor}})
}

// fail is a client that does not give up although xAI refuses the key.
func (l *soakLoad) fail(ctx context.Context) {
	l.send(ctx, http.MethodPost, "/session", http.StatusBadGateway, http.Header{"X-Key": {refusedKey}})
}

// hang is a client that waits for an xAI that hangs.
func (l *soakLoad) hang(ctx context.Context) {
	l.send(ctx, http.MethodPost, "/hanging", http.StatusGatewayTimeout, http.Header{"X-Key": {hangingKey}})
}

// speculate is a browser that asks before its user does.
func (l *soakLoad) speculate(ctx context.Context) {
	l.send(ctx, http.MethodGet, "/got", http.StatusForbidden, http.Header{"X-Key": {"key-0"}, "Sec-Purpose": {"prefetch"}})
}

func (l *soakLoad) send(ctx context.Context, method, path string, want int, header http.Header) {
	status, body, err := send(ctx, l.client, method, "http://"+l.address+path, header, nil)
	if ctx.Err() == nil {
		l.record(path, want, status, body, err)
	}
}

// leave is a client that goes away, at any stage of its request.
func (l *soakLoad) leave(ctx context.Context) {
	conn, request, err := l.dial(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	request += "half of a body"
	if _, err := conn.Write([]byte(request[:chance(len(request)+1)])); err != nil {
		return
	}
	// Some leave while the call to xAI is under way, some when the answer is.
	time.Sleep(time.Duration(chance(30)) * time.Millisecond)
	l.count(left)
}

// dawdle is a client that sends its request byte by byte, and a body that never
// ends. It reads the answer byte by byte, too.
func (l *soakLoad) dawdle(ctx context.Context) {
	conn, request, err := l.dial(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	for i := range len(request) {
		if _, err := conn.Write([]byte{request[i]}); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	resp, err := http.ReadResponse(bufio.NewReader(slowReader{conn}), nil)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		l.count("a slow client got " + resp.Status)
		return
	}
	l.count(slow)
}

// dial returns a connection for a client that misbehaves, and what it is to send.
// The body that this announces does not come.
func (l *soakLoad) dial(ctx context.Context) (conn net.Conn, request string, err error) {
	conn, err = new(net.Dialer).DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, "", err
	}
	paths := []string{"/session", "/stock"}
	request = "POST " + paths[chance(len(paths))] + " HTTP/1.1\r\nHost: " + l.address +
		"\r\nX-Key: key-0\r\nContent-Length: 100\r\n\r\n"
	return conn, request, conn.SetDeadline(time.Now().Add(answerLimit))
}

// chance returns a number from 0 to below n.
func chance(n int) int {
	return rand.IntN(n) //nolint:gosec // it guards nothing
}

// slowReader reads a byte at a time.
type slowReader struct{ net.Conn }

func (r slowReader) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return r.Conn.Read(p[:1])
}

// record counts how a request ended. Whoever is over a limit may also get a token
// now and then.
func (l *soakLoad) record(path string, want, status int, body []byte, err error) {
	switch {
	case err != nil:
		l.count(broken)
	case status == http.StatusOK && (want == http.StatusOK || want == http.StatusTooManyRequests):
		l.count(issued)
		var token struct {
			Value string `json:"value"`
		}
		if err := json.Unmarshal(body, &token); err != nil || token.Value == "" {
			l.count(path + ": got an answer without a token")
		} else if l.sees(token.Value) {
			l.count(path + ": got a token that was handed out before")
		}
	case status != want:
		l.count(fmt.Sprintf("%s: got %d, want %d", path, status, want))
	default:
		l.count(soakEventOf[status])
	}
}

// sees takes down a token, of which it keeps only a hash, and says whether it came
// before.
func (l *soakLoad) sees(token string) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	hash := maphash.String(l.seed, token)
	_, again = l.seen[hash]
	l.seen[hash] = struct{}{}
	return again
}

func (l *soakLoad) count(event string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[event]++
}

// faults says what happened that should not, and what did not. A reload may break
// a connection of each client, which does not know yet that Caddy has hung up.
func (l *soakLoad) faults() (faults []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for event, count := range l.counts {
		if !slices.Contains(soakEvents, event) || event == broken && count > (l.counts[reloads]+1)*soakClients {
			faults = append(faults, fmt.Sprintf("%s, %d times", event, count))
		}
	}
	for _, event := range soakEvents {
		if l.counts[event] == 0 && event != broken {
			faults = append(faults, "not everything was tried: 0 "+event)
		}
	}
	return faults
}

// String says what has happened so far.
func (l *soakLoad) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	parts := make([]string, len(soakEvents))
	for i, event := range soakEvents {
		parts[i] = fmt.Sprintf("%d %s", l.counts[event], event)
	}
	return strings.Join(parts, ", ")
}

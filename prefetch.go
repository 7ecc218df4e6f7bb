// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	"go.uber.org/zap"
)

const (
	defaultPrefetch = 8
	maxPrefetch     = 1024

	// maxStocks bounds for how many keys tokens are kept at the same time. Other
	// keys are served as without prefetching until one of these is not asked for
	// any more: to make room by throwing tokens away would cost several mints for
	// each request once there are too many keys.
	maxStocks = 1024

	// maxRefills bounds how many calls mint ahead for a key at the same time. It is
	// enough for 100 requests a second at 150 ms a call, as many as xAI lets a team
	// have sessions. More would slow down the requests of a burst, and have a large
	// stock open a thousand connections at once.
	maxRefills = 16

	// minPause and maxPause are the first and the longest pause after a refill that
	// failed, give or take a half.
	minPause = time.Second
	maxPause = 30 * time.Second
)

func checkPrefetch(count int) error {
	if count < 0 || count > maxPrefetch {
		return fmt.Errorf("prefetch: %d is out of range; it must be from 0 to %d", count, maxPrefetch)
	}
	return nil
}

// prefetcher mints tokens ahead, so that a request can have one without a wait.
// A nil prefetcher is one that is switched off.
//
// Every event, be it a request, the end of a refill or a timer, ends in tend,
// which looks at the stock as it is and does what there is to do.
type prefetcher struct {
	size   int // of each full stock
	client *client

	// start runs a function in a goroutine, with a context that ends with the
	// config; stop ends that context and waits for the goroutines.
	start func(func(context.Context))
	stop  func()

	mu     sync.Mutex
	stocks map[string]*stock // by API key; nil once the config is unloaded
}

// stock is what is kept for one key, while somebody asks for its tokens.
type stock struct {
	tokens  []*token    // those that go stale first come first
	refills int         // how many calls are minting
	asked   time.Time   // when a request last asked
	timer   *time.Timer // when to look again if nothing happens before

	// After a refill that failed, there is none before resume, and only one at a
	// time until one succeeds.
	resume time.Time
	pace   *backoff.ExponentialBackOff
}

func newPrefetcher(size int, client *client) *prefetcher {
	if size == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	var refills sync.WaitGroup
	return &prefetcher{
		size:   size,
		client: client,
		start:  func(refill func(context.Context)) { refills.Go(func() { refill(ctx) }) },
		stop: func() {
			cancel()
			refills.Wait()
		},
		stocks: make(map[string]*stock),
	}
}

// take hands out a token that was minted ahead with the key, nil if there is
// none. The caller calls replenish or putBack next.
func (p *prefetcher) take(key string) *token {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stocks[key]
	if s == nil {
		return nil
	}
	s.asked = time.Now()
	s.dropStale()
	if len(s.tokens) == 0 {
		return nil
	}
	taken := s.tokens[0]
	s.remove(1)
	taken.prefetched = true
	return taken
}

// replenish is called after a token was handed out, minted ahead or not. Only
// now is it known that its key is one to mint ahead with: a key that xAI refuses
// never gets here.
func (p *prefetcher) replenish(handedOut *token) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stocks[handedOut.key]
	if s == nil {
		if p.stocks == nil || len(p.stocks) == maxStocks {
			return
		}
		s = p.newStock(handedOut.key)
		p.stocks[handedOut.key] = s
	}
	p.tend(handedOut.key, s)
}

// putBack keeps a token that nobody was given after all for somebody else, if
// there is room.
func (p *prefetcher) putBack(unused *token) {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s := p.stocks[unused.key]; s != nil && len(s.tokens)+s.refills < p.size {
			p.put(s, unused)
			p.tend(unused.key, s)
			return
		}
	}
	metrics.discarded.WithLabelValues("client_gone").Inc()
}

// close throws all tokens away and ends all that goes on in the background. A
// request that comes later finds nothing prefetched.
func (p *prefetcher) close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	for _, s := range p.stocks {
		s.timer.Stop()
		s.drop(len(s.tokens), "unloaded")
	}
	p.stocks = nil
	p.mu.Unlock()
	p.stop()
}

// The methods below are called with mu held.

func (p *prefetcher) newStock(key string) *stock {
	s := &stock{asked: time.Now(), pace: backoff.NewExponentialBackOff()}
	s.pace.InitialInterval, s.pace.MaxInterval, s.pace.Multiplier = minPause, maxPause, 2
	s.timer = time.AfterFunc(p.client.expiresAfter, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.tend(key, s)
	})
	return s
}

// tend drops what is stale, mints what is missing, and sets the timer to when
// there will be more to do.
func (p *prefetcher) tend(key string, s *stock) {
	if p.stocks[key] != s {
		return // unloaded, or forgotten just before its timer was due
	}
	s.dropStale()
	now := time.Now()
	quiet := s.asked.Add(p.client.expiresAfter) // from when on nothing more is minted
	if now.Before(quiet) && !now.Before(s.resume) {
		for s.refills < s.maxRefills() && len(s.tokens)+s.refills < p.size {
			p.refill(key, s)
		}
	}

	wake := quiet
	switch {
	case len(s.tokens) > 0:
		wake = s.tokens[0].freshUntil
	case now.Before(quiet):
	case s.refills > 0:
		return // each of them ends here
	default:
		delete(p.stocks, key)
		return
	}
	if now.Before(s.resume) && s.resume.Before(wake) {
		wake = s.resume
	}
	s.timer.Reset(wake.Sub(now))
}

func (s *stock) maxRefills() int {
	if s.resume.IsZero() {
		return maxRefills
	}
	return 1
}

// refill mints one token in the background. It is tried once: a failure is no
// hurry, and the next attempt is tend's to decide.
func (p *prefetcher) refill(key string, s *stock) {
	s.refills++
	p.start(func(ctx context.Context) {
		requestID := uuid.NewString()
		minted, err := p.mint(ctx, key, requestID)
		failed, _ := errors.AsType[*mintError](err)
		if failed != nil && ctx.Err() != nil {
			failed = nil // not xAI's failure: the config was unloaded
		}

		// Nothing is logged with mu held: a log can be slow, and requests would wait.
		if wait := p.refilled(key, s, minted, failed); wait > 0 {
			p.client.logger.Warn("prefetching paused",
				append(failed.fields(requestID), zap.Error(failed), zap.Duration("wait", wait))...)
		}
	})
}

// mint gets one token to keep. One that is stale on arrival is no success, or a
// slow xAI would be called again at once, over and over.
func (p *prefetcher) mint(ctx context.Context, key, requestID string) (*token, error) {
	minted, err := p.client.mint(ctx, key, requestID, 0)
	if err == nil && !minted.isFresh(time.Now()) {
		metrics.discarded.WithLabelValues("stale").Inc()
		return nil, &mintError{failure: errTimeout, message: "the token came when half its lifetime was over"}
	}
	return minted, err
}

// refilled takes in how a refill ended: with a token, with a failure, or, if the
// config was unloaded meanwhile, with neither. It returns how long the pause is
// if one begins.
func (p *prefetcher) refilled(key string, s *stock, minted *token, failed *mintError) (wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.refills--
	switch {
	case minted != nil:
		s.recover()
		p.put(s, minted)
	case failed != nil:
		wait = s.pause(failed.retryAfter)
	}
	p.tend(key, s)
	return wait
}

// pause keeps refills away from xAI after one of them failed, and returns for how
// long. Several that failed together count once.
func (s *stock) pause(retryAfter time.Duration) time.Duration {
	now := time.Now()
	if now.Before(s.resume) {
		return 0
	}
	wait := max(s.pace.NextBackOff(), retryAfter)
	s.resume = now.Add(wait)
	return wait
}

// recover ends the time of caution after a failure. A success of a call that was
// already under way when another failed proves nothing.
func (s *stock) recover() {
	if !time.Now().Before(s.resume) {
		s.resume = time.Time{}
		s.pace.Reset()
	}
}

func (p *prefetcher) put(s *stock, fresh *token) {
	if p.stocks == nil {
		metrics.discarded.WithLabelValues("unloaded").Inc()
		return
	}
	i, _ := slices.BinarySearchFunc(s.tokens, fresh, func(a, b *token) int {
		return a.freshUntil.Compare(b.freshUntil)
	})
	s.tokens = slices.Insert(s.tokens, i, fresh)
	metrics.prefetchedTokens.Inc()
}

func (s *stock) dropStale() {
	now := time.Now()
	stale := 0
	for stale < len(s.tokens) && !s.tokens[stale].isFresh(now) {
		stale++
	}
	if stale > 0 {
		s.drop(stale, "stale")
	}
}

// drop throws away the oldest tokens.
func (s *stock) drop(count int, reason string) {
	s.remove(count)
	metrics.discarded.WithLabelValues(reason).Add(float64(count))
}

// remove takes the oldest tokens out, without moving the others.
func (s *stock) remove(count int) {
	clear(s.tokens[:count]) // or they would stay in memory
	s.tokens = s.tokens[count:]
	metrics.prefetchedTokens.Sub(float64(count))
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package stock keeps tokens that were minted ahead, so that a request can have
// one without a wait. It does not know how a token is minted, nor for whom.
package stock

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// MaxKeys bounds for how many keys tokens are kept at the same time. Other
	// keys are served as without a stock until one of these is not asked for any
	// more: to make room by throwing tokens away would cost several mints for each
	// request once there are too many keys.
	MaxKeys = 1024

	// MaxRefills bounds how many calls mint ahead for a key at the same time. It is
	// enough for 100 requests a second at 150 ms a call, as many as xAI lets a team
	// have sessions. More would slow down the requests of a burst, and have a large
	// stock open a thousand connections at once.
	MaxRefills = 16

	// MinPause is the first pause after a refill that failed, give or take a half.
	MinPause = time.Second

	// MaxPause is the longest of them, if more refills fail.
	MaxPause = 30 * time.Second
)

// The reasons for which a token is discarded.
const (
	discardStale    = "stale"       // it waited for too long
	discardUnloaded = "unloaded"    // its keeper was closed
	discardUnwanted = "client_gone" // nobody took it, and there was no room for it
)

// Discards lists the values of the label of Config.Discarded.
var Discards = []string{discardStale, discardUnloaded, discardUnwanted}

// errStale is how a refill fails whose token is stale on arrival. It is no
// success, or a slow xAI would be called again at once, over and over.
var errStale = errors.New("the token came when half its lifetime was over")

// Token is what is kept. It may be handed out until FreshUntil.
type Token interface {
	FreshUntil() time.Time
	Lifetime() time.Duration
}

// Config says what to keep.
type Config[T Token] struct {
	Size     int           // how many tokens to keep for each key; 0 for none
	Lifetime time.Duration // of a token as it is meant to be

	// Mint mints a token in the background, until the context ends. An error that
	// wraps a backoff.RetryAfterError says how long to wait before the next call.
	Mint func(ctx context.Context, key string) (T, error)

	// Paused is told that a call failed, and that there will be none for a while.
	Paused func(failure error, wait time.Duration)

	Kept      prometheus.Gauge       // how many tokens are kept
	Discarded *prometheus.CounterVec // counts tokens that nobody got, by reason
}

// Keeper keeps a stock for each key that is asked for.
//
// Every event, be it a request, the end of a refill or a timer, ends in tend,
// which looks at the stock as it is and does what there is to do.
type Keeper[T Token] struct {
	config Config[T]

	// start runs a function in a goroutine, with a context that ends with the
	// keeper; stop ends that context and waits for the goroutines.
	start func(func(context.Context))
	stop  func()

	mu     sync.Mutex
	stocks map[string]*stock[T] // by key; nil once closed
}

// stock is what is kept for one key, while somebody asks for its tokens.
type stock[T Token] struct {
	tokens  []T         // those that go stale first come first
	refills int         // how many calls are minting
	asked   time.Time   // when somebody last asked
	timer   *time.Timer // when to look again if nothing happens before

	// lifetime is that of the last token that came. Somebody must have asked within
	// it for another one to be minted.
	lifetime time.Duration

	// After a refill that failed, there is none before resume, and only one at a
	// time until one succeeds.
	resume time.Time
	pace   *backoff.ExponentialBackOff
}

// NewKeeper returns a keeper that mints nothing before a first token was handed
// out. It must be closed.
func NewKeeper[T Token](config *Config[T]) *Keeper[T] {
	ctx, cancel := context.WithCancel(context.Background())
	var refills sync.WaitGroup
	return &Keeper[T]{
		config: *config,
		start:  func(refill func(context.Context)) { refills.Go(func() { refill(ctx) }) },
		stop: func() {
			cancel()
			refills.Wait()
		},
		stocks: make(map[string]*stock[T]),
	}
}

// Take hands out a token that was minted ahead with the key, if there is one. The
// caller calls Replenish or PutBack next.
func (k *Keeper[T]) Take(key string) (taken T, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.stocks[key]
	if s == nil {
		return taken, false
	}
	s.asked = time.Now()
	k.dropStale(s)
	if len(s.tokens) == 0 {
		return taken, false
	}
	taken = s.tokens[0]
	k.remove(s, 1)
	return taken, true
}

// Replenish is called after a token was handed out, minted ahead or not. Only
// now is it known that its key is one to mint ahead with: a key that xAI refuses
// never gets here.
func (k *Keeper[T]) Replenish(key string) {
	if k.config.Size == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.stocks[key]
	if s == nil {
		if k.stocks == nil || len(k.stocks) == MaxKeys {
			return
		}
		s = k.newStock(key)
		k.stocks[key] = s
	}
	k.tend(key, s)
}

// PutBack keeps a token that nobody was given after all for somebody else, if
// there is room.
func (k *Keeper[T]) PutBack(key string, unused T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.stocks[key]
	if s == nil || len(s.tokens)+s.refills >= k.config.Size {
		k.discarded(discardUnwanted, 1)
		return
	}
	k.put(s, unused)
	k.tend(key, s)
}

// Close throws all tokens away and ends all that goes on in the background. Whoever
// comes later finds nothing.
func (k *Keeper[T]) Close() {
	k.mu.Lock()
	for _, s := range k.stocks {
		s.timer.Stop()
		k.drop(s, len(s.tokens), discardUnloaded)
	}
	k.stocks = nil
	k.mu.Unlock()
	k.stop()
}

// The methods below are called with mu held; the goroutine of a refill takes it
// for itself.

func (k *Keeper[T]) newStock(key string) *stock[T] {
	s := &stock[T]{asked: time.Now(), lifetime: k.config.Lifetime, pace: backoff.NewExponentialBackOff()}
	s.pace.InitialInterval, s.pace.MaxInterval, s.pace.Multiplier = MinPause, MaxPause, 2
	s.timer = time.AfterFunc(k.config.Lifetime, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.tend(key, s)
	})
	return s
}

// tend drops what is stale, mints what is missing, and sets the timer to when
// there will be more to do.
func (k *Keeper[T]) tend(key string, s *stock[T]) {
	if k.stocks[key] != s {
		return // closed, or forgotten just before its timer was due
	}
	k.dropStale(s)
	now := time.Now()
	quiet := s.asked.Add(s.lifetime) // from when on nothing more is minted
	if now.Before(quiet) && !now.Before(s.resume) {
		for s.refills < s.maxRefills() && len(s.tokens)+s.refills < k.config.Size {
			k.refill(key, s)
		}
	}

	wake := quiet
	switch {
	case len(s.tokens) > 0:
		wake = s.tokens[0].FreshUntil()
	case now.Before(quiet):
	case s.refills > 0:
		return // each of them ends here
	default:
		delete(k.stocks, key)
		return
	}
	if now.Before(s.resume) && s.resume.Before(wake) {
		wake = s.resume
	}
	s.timer.Reset(wake.Sub(now))
}

func (s *stock[T]) maxRefills() int {
	if s.resume.IsZero() {
		return MaxRefills
	}
	return 1
}

// refill mints one token in the background. It is tried once: a failure is no
// hurry, and the next attempt is tend's to decide.
func (k *Keeper[T]) refill(key string, s *stock[T]) {
	s.refills++
	k.start(func(ctx context.Context) {
		minted, err := k.config.Mint(ctx, key)
		if err == nil && !isFresh(minted, time.Now()) {
			k.discarded(discardStale, 1)
			err = errStale
		}
		wait := k.refilled(ctx, key, s, minted, err)

		// Nothing is told with mu held: a log can be slow, and requests would wait.
		if wait > 0 {
			k.config.Paused(err, wait)
		}
	})
}

// refilled takes in how a refill ended: with a token, with a failure, or, if the
// keeper was closed meanwhile, with neither. It returns how long the pause is if
// one begins.
func (k *Keeper[T]) refilled(ctx context.Context, key string, s *stock[T], minted T, failure error) (wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.refills--
	switch {
	case failure == nil:
		s.recover()
		s.lifetime = minted.Lifetime()
		k.put(s, minted)
	case ctx.Err() == nil:
		wait = s.pause(failure)
	}
	k.tend(key, s)
	return wait
}

// pause keeps refills away from xAI after one of them failed, and returns for how
// long. Several that failed together count once.
func (s *stock[T]) pause(failure error) time.Duration {
	now := time.Now()
	if now.Before(s.resume) {
		return 0
	}
	wait := s.pace.NextBackOff()
	if told, ok := errors.AsType[*backoff.RetryAfterError](failure); ok {
		wait = max(wait, told.Duration)
	}
	s.resume = now.Add(wait)
	return wait
}

// recover ends the time of caution after a failure. A success of a call that was
// already under way when another failed proves nothing.
func (s *stock[T]) recover() {
	if !time.Now().Before(s.resume) {
		s.resume = time.Time{}
		s.pace.Reset()
	}
}

func (k *Keeper[T]) put(s *stock[T], fresh T) {
	if k.stocks == nil {
		k.discarded(discardUnloaded, 1)
		return
	}
	i, _ := slices.BinarySearchFunc(s.tokens, fresh, func(a, b T) int {
		return a.FreshUntil().Compare(b.FreshUntil())
	})
	s.tokens = slices.Insert(s.tokens, i, fresh)
	k.config.Kept.Inc()
}

func (k *Keeper[T]) dropStale(s *stock[T]) {
	now := time.Now()
	stale := 0
	for stale < len(s.tokens) && !isFresh(s.tokens[stale], now) {
		stale++
	}
	if stale > 0 {
		k.drop(s, stale, discardStale)
	}
}

// isFresh reports whether the token may still be handed out. Both of Go's clocks
// must say so: the monotonic one stands still while a machine is suspended, and
// the wall clock can be set back.
func isFresh(t Token, now time.Time) bool {
	until := t.FreshUntil()
	return now.Before(until) && now.Round(0).Before(until.Round(0))
}

// drop throws away the oldest tokens.
func (k *Keeper[T]) drop(s *stock[T], count int, reason string) {
	k.remove(s, count)
	k.discarded(reason, count)
}

// remove takes the oldest tokens out, without moving the others.
func (k *Keeper[T]) remove(s *stock[T], count int) {
	clear(s.tokens[:count]) // or they would stay in memory
	s.tokens = s.tokens[count:]
	k.config.Kept.Sub(float64(count))
}

func (k *Keeper[T]) discarded(reason string, count int) {
	k.config.Discarded.WithLabelValues(reason).Add(float64(count))
}

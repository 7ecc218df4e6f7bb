// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// authPause is how long a key that xAI refused is not tried again.
	authPause = time.Second

	// maxHold is how long a Retry-After of xAI's is heeded at most. After that one
	// call looks whether it still holds.
	maxHold = 5 * time.Minute

	// maxRefusals bounds for how many keys a refusal is remembered. Of the keys
	// that are forgotten, which are those least recently asked for, the next call
	// is made as if nothing had been.
	maxRefusals = 1024
)

// refusals remembers which keys xAI does not want to see for a while, so that a
// storm of requests here is no storm there.
type refusals struct {
	seed maphash.Seed

	mu   sync.Mutex
	keys *simplelru.LRU[uint64, *refusal] // by a hash: a stranger may be free to choose keys
}

// refusal is how xAI answered the last call with a key that decided something.
type refusal struct {
	failed Error
	told   time.Time // when xAI said so
	until  time.Time // no call is made before

	// decided is closed when the call that decides is over; nil if there is none.
	decided chan struct{}
}

func newRefusals() *refusals {
	keys, _ := simplelru.NewLRU[uint64, *refusal](maxRefusals, nil) // fails only for a size of 0
	return &refusals{seed: maphash.MakeSeed(), keys: keys}
}

// try makes a call with the key, unless it is known how xAI would answer. Once a
// refusal is over, one call goes through and decides. Meanwhile, others get the
// same error, or wait for the decision if the refusal was one for a time.
func (r *refusals) try(ctx context.Context, key string, call func() (*Token, error)) (*Token, error) {
	hash := maphash.String(r.seed, key)
	for {
		probe, decided, refused := r.admit(hash)
		if refused == nil {
			minted, err := call()
			r.settle(hash, probe, err)
			return minted, err
		}
		if decided == nil {
			return nil, refused
		}
		select {
		case <-decided:
		case <-ctx.Done():
			return nil, refused
		}
	}
}

// admit returns how xAI refuses the key, nil if a call may be made. That call is a
// probe if it decides on an earlier refusal. While another call does, the end of
// it can be waited for, where waiting can help.
func (r *refusals) admit(hash uint64) (probe *refusal, decided <-chan struct{}, refused error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.keys.Get(hash)
	if !ok {
		return nil, nil, nil
	}
	now := time.Now()
	if known.decided == nil && !now.Before(known.until) {
		known.decided = make(chan struct{})
		return known, nil, nil
	}
	again := known.failed
	if again.final {
		return nil, nil, &again
	}
	again.RetryAfter = max(known.told.Add(again.RetryAfter).Sub(now), time.Second)
	return nil, known.decided, &again
}

// settle takes in how a call ended. Only a refusal says something for others, or
// the end of a probe.
func (r *refusals) settle(hash uint64, probe *refusal, err error) {
	var pause time.Duration
	failed, _ := errors.AsType[*Error](err)
	switch {
	case failed == nil:
	case errors.Is(failed.Failure, ErrAuth):
		pause = authPause
	default:
		pause = min(failed.RetryAfter, maxHold)
	}
	if probe == nil && pause == 0 {
		return
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.keys.Peek(hash)
	if probe != nil {
		close(probe.decided)
		probe.decided = nil
		if err == nil && known == probe {
			r.keys.Remove(hash)
		}
	}
	now := time.Now()
	if pause == 0 || ok && now.Add(pause).Before(known.until) {
		return
	}
	if !ok {
		known = new(refusal)
		r.keys.Add(hash, known)
	}
	known.failed, known.told, known.until = *failed, now, now.Add(pause)
}

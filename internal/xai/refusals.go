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

	decision *decision // on whether it still holds; nil while nobody asks xAI
}

// decision is what the calls of one minting find out about a refusal that is over.
type decision struct {
	by     *minting
	calls  int           // how many of its calls go on
	made   chan struct{} // closed when one of them decided, or all have ended
	isMade bool
}

func newRefusals() *refusals {
	keys, _ := simplelru.NewLRU[uint64, *refusal](maxRefusals, nil) // fails only for a size of 0
	return &refusals{seed: maphash.MakeSeed(), keys: keys}
}

// try makes a call for a minting, unless it is known how xAI would answer. Once a
// refusal is over, one minting goes through and decides. Meanwhile, others get the
// same error, or wait for the decision if the refusal was one for a time.
func (r *refusals) try(ctx context.Context, by *minting, call func() (*Token, error)) (*Token, error) {
	hash := maphash.String(r.seed, by.key)
	for {
		deciding, decided, refused := r.admit(hash, by)
		if refused == nil {
			minted, err := call()
			r.settle(hash, deciding, err)
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

// admit returns how xAI refuses the key, nil if a call may be made, with the
// decision on an earlier refusal that the call is for, if it is. A decision of
// others can be waited for, where waiting can help.
func (r *refusals) admit(hash uint64, by *minting) (deciding *decision, decided <-chan struct{}, refused error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.keys.Get(hash)
	if !ok {
		return nil, nil, nil
	}
	now := time.Now()
	if known.decision == nil && !now.Before(known.until) {
		known.decision = &decision{by: by, made: make(chan struct{})}
	}
	if known.decision != nil && known.decision.by == by {
		known.decision.calls++
		return known.decision, nil, nil
	}
	again := known.failed
	if again.final {
		return nil, nil, &again
	}
	again.RetryAfter = max(known.told.Add(again.RetryAfter).Sub(now), time.Second)
	if known.decision != nil {
		decided = known.decision.made
	}
	return nil, decided, &again
}

// settle takes in how a call ended. Only a refusal says something for others, or
// what ends a decision.
func (r *refusals) settle(hash uint64, deciding *decision, err error) {
	var pause time.Duration
	failed, _ := errors.AsType[*Error](err)
	switch {
	case failed == nil:
	case errors.Is(failed.Failure, ErrAuth):
		pause = authPause
	default:
		pause = min(failed.RetryAfter, maxHold)
	}
	if deciding == nil && pause == 0 {
		return
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.keys.Peek(hash)
	if deciding != nil && deciding.callEnded(err == nil || pause > 0) && ok && known.decision == deciding {
		known.decision = nil
		if err == nil {
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

// callEnded takes in the end of one of the calls, and reports whether that was the
// end of the decision.
func (d *decision) callEnded(hasDecided bool) bool {
	d.calls--
	if d.isMade || d.calls > 0 && !hasDecided {
		return false
	}
	d.isMade = true
	close(d.made)
	return true
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
	"github.com/redis/go-redis/v9"
)

var (
	//go:embed take.lua
	takeSource string
	takeScript = redis.NewScript(takeSource)

	//go:embed giveback.lua
	giveBackSource string
	giveBackScript = redis.NewScript(giveBackSource)
)

// What takeScript says happened.
const (
	scriptTook = iota
	scriptRefused
	scriptTooLate
)

// maxAttempts is how often a take is sent at most. It is the same take each time,
// which happens once.
const maxAttempts = 3

var (
	errDown    = errors.New("the limit store does not answer")
	errTooLate = errors.New("the limit store was asked too late")
)

// Take takes a token of each claim or of none, in one call of a script.
func (s *Store) Take(_ context.Context, scope string, claims []limit.Claim) (limit.Taken, error) {
	if !s.watch.isDown() {
		t := s.newTake(scope, claims)
		err := s.send(t)
		if err == nil {
			return t, nil
		}
		if isRefusal(err) {
			return nil, err
		}
		s.watch.report(err)
	}
	s.watch.countRequest()
	if s.local != nil {
		return s.local.Take(context.Background(), limit.Hash(s.countedAs(scope)), claims)
	}
	return nil, errDown
}

// take is one take, which is given back at most once.
type take struct {
	store *Store
	id    string
	keys  []string
	args  []any // the id, the deadline, and the counts and windows

	givenBack sync.Once
}

func (s *Store) newTake(scope string, claims []limit.Claim) *take {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	t := &take{store: s, id: string(id), args: []any{string(id), 0}}
	for _, claim := range claims {
		t.keys = append(t.keys, s.key(scope, claim.Hash()))
		t.args = append(t.args, claim.Count, ceilMicros(claim.Window))
	}
	return t
}

// key returns the name of a key. All of a scope are in one part of a cluster, which
// the part in braces decides.
func (s *Store) key(scope, name string) string {
	return s.Prefix + ":{" + limit.Hash(s.countedAs(scope)) + "}:" + name
}

// countedAs returns the scope that counts, the option's if there is one, and of what
// kind it is, so that none is ever taken for the hosts and paths of a handler.
func (s *Store) countedAs(scope string) (kind, name string) {
	if s.Scope != "" {
		return "scope", s.Scope
	}
	return "handler", scope
}

func ceilMicros(d time.Duration) int64 {
	return int64((d + time.Microsecond - 1) / time.Microsecond)
}

// send has the script take, and returns when it is known whether it did, or when the
// time is up. The request's context has no say: it ends when the client goes away, and
// then it would not be known.
func (s *Store) send(t *take) error {
	deadline := time.Now().Add(time.Duration(s.Timeout))
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	client, release := s.client.use()
	defer release()

	if err := s.learnTime(ctx, client); err != nil {
		return err
	}
	unknown := false // whether the take may have happened without our knowing
	var err error
	for range maxAttempts {
		t.args[1], _ = s.clock.micros(deadline)
		asked := time.Now()
		var reply []int64
		if reply, err = takeScript.Run(ctx, client, t.keys, t.args...).Int64Slice(); err == nil {
			s.clock.learn(asked, time.Now(), reply[0])
			err = outcome(reply)
		} else if !isAnswer(err) {
			unknown = true
		}
		if !isWorthRepeating(err) || ctx.Err() != nil {
			break
		}
	}
	if unknown && err != nil {
		// The server may answer by now, and refuse.
		if !isRefusal(err) || s.giveBack(t) != nil {
			s.pending.add(t)
		}
	}
	return err
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*limit.RefusedError](err)
	return ok
}

// learnTime asks for the server's time, if it is not known yet.
func (s *Store) learnTime(ctx context.Context, client redis.UniversalClient) error {
	if _, known := s.clock.micros(time.Now()); known {
		return nil
	}
	asked := time.Now()
	server, err := client.Time(ctx).Result()
	if err != nil {
		return err
	}
	s.clock.learn(asked, time.Now(), server.UnixMicro())
	return nil
}

// outcome reads the script's reply to a take.
func outcome(reply []int64) error {
	switch reply[1] {
	case scriptTook:
		return nil
	case scriptRefused:
		refusal := &limit.RefusedError{Wait: time.Duration(reply[2]) * time.Microsecond}
		for _, i := range reply[3:] {
			refusal.Limits = append(refusal.Limits, int(i))
		}
		return refusal
	default:
		return errTooLate
	}
}

// isAnswer reports whether an error is what the server answered: the take did not
// happen then.
func isAnswer(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// isWorthRepeating reports whether to send a take again: one that came too late by a
// clock that was set since, or whose connection broke.
func isWorthRepeating(err error) bool {
	switch network, ok := errors.AsType[net.Error](err); {
	case err == nil, isAnswer(err), errors.Is(err, context.DeadlineExceeded):
		return false
	case ok && network.Timeout():
		return false
	}
	return !isRefusal(err)
}

// GiveBack removes the take's tokens. If the server does not answer, that is done as
// soon as it does.
func (t *take) GiveBack() {
	t.givenBack.Do(func() {
		if t.store.watch.isDown() {
			t.store.pending.add(t)
			return
		}
		if err := t.store.giveBack(t); err != nil {
			t.store.pending.add(t)
			t.store.watch.report(err)
		}
	})
}

func (s *Store) giveBack(t *take) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.Timeout))
	defer cancel()
	client, release := s.client.use()
	defer release()
	if err := giveBackScript.Run(ctx, client, t.keys, t.id).Err(); err != nil {
		return fmt.Errorf("giving back: %w", err)
	}
	return nil
}

// check reports whether takes work, by one that concerns nobody.
func (s *Store) check() error {
	return s.send(s.newTake("", []limit.Claim{{Limit: limit.Limit{Name: "probe", Count: limit.MaxCount, Window: time.Second}}}))
}

// makeUp makes up for the give-backs that did not work.
func (s *Store) makeUp() {
	pending := s.pending.takeAll()
	for i, t := range pending {
		if err := s.giveBack(t); err != nil {
			s.pending.add(pending[i:]...)
			s.watch.report(err)
			return
		}
	}
}

// maxPending bounds how many give-backs wait for the server. What is more is lost to
// those whose tokens they were.
const maxPending = 10_000

// giveBacks is the takes whose tokens have to be given back, if they were taken.
type giveBacks struct {
	mu    sync.Mutex
	takes []*take
}

func (g *giveBacks) add(takes ...*take) {
	g.mu.Lock()
	defer g.mu.Unlock()
	room := max(0, maxPending-len(g.takes))
	g.takes = append(g.takes, takes[:min(len(takes), room)]...)
}

func (g *giveBacks) takeAll() []*take {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.takes
	g.takes = nil
	return all
}

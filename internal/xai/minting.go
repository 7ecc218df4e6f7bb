// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
)

const (
	// maxBackoff is the middle of the first back-off, as in xAI's own SDK. It is
	// scaled down for short timeouts, so that retries fit into them.
	maxBackoff = 250 * time.Millisecond

	// maxShares is into how many shares, one for each attempt that may come, the
	// time left is split at most. More would leave an attempt too little to succeed.
	maxShares = 10
)

// minting is the exchange of one key for one token, with its retries.
type minting struct {
	client    *Client
	key       string
	requestID string
	deadline  time.Time
	end       context.CancelFunc // ends all of its calls
	left      int                // how many retries may still come
	called    atomic.Bool        // whether an attempt was made
}

func (c *Client) newMinting(key, requestID string, retries int) *minting {
	return &minting{client: c, key: key, requestID: requestID, deadline: time.Now().Add(c.config.Timeout), left: retries}
}

// run makes the first attempt before anything is made that only retries need: as a
// rule it is the only one.
func (m *minting) run(ctx context.Context) (*Token, error) {
	minted, err := m.patiently(ctx)
	if err == nil {
		return minted, nil
	}
	isFirst := true
	return m.retry(ctx, func(ctx context.Context) (*Token, error) {
		if isFirst {
			isFirst = false
			return nil, err
		}
		return m.patiently(ctx)
	})
}

// retry makes attempts until one of them decides, or there is no time or retry
// left.
func (m *minting) retry(ctx context.Context, attempt func(context.Context) (*Token, error)) (*Token, error) {
	pace := backoff.NewExponentialBackOff()
	pace.InitialInterval = min(maxBackoff, m.client.config.Timeout/40)
	pace.Multiplier = 2
	minted, err := backoff.Retry(ctx,
		func() (*Token, error) {
			minted, err := attempt(ctx)
			if isFinal(err) {
				err = backoff.Permanent(err)
			}
			return minted, err
		},
		backoff.WithBackOff(pace),
		backoff.WithMaxTries(uint(m.left)+1),
		backoff.WithMaxElapsedTime(max(time.Until(m.deadline), 1)), // 0 would be no bound
		backoff.WithNotify(func(err error, wait time.Duration) {
			m.left--
			m.client.config.Logger.Debug("retrying",
				zap.Error(err), zap.Duration("wait", wait), zap.String("client_request_id", m.requestID))
		}))
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) { // in place of the attempt's own error
		err = &Error{Failure: ErrTimeout, Message: err.Error()}
	}
	return minted, err
}

// share is how much of the time left an attempt gets if others may follow.
func (m *minting) share() time.Duration {
	return time.Until(m.deadline) / time.Duration(shares(m.left))
}

// shares returns into how many shares the time is split that is left for an
// attempt and for the retries that may follow.
func shares(retries int) int {
	return min(retries, maxShares-1) + 1
}

// briefly makes an attempt that is given up when its share of the time is over.
func (m *minting) briefly(ctx context.Context, exchange http.RoundTripper) (*Token, error) {
	ctx, cancel := context.WithTimeout(ctx, m.share())
	defer cancel()
	return m.attempt(ctx, exchange)
}

// patiently makes an attempt that is not given up when its share is over: xAI may
// be slow, and then the oldest attempt is the first to be answered. But it may
// hang as well, so the retries begin beside it, each of them brief, and there are
// never more than two calls at a time. They have connections of their own, because
// over HTTP/2 the one that hangs would take them as well, as long as this attempt
// is on it.
func (m *minting) patiently(ctx context.Context) (*Token, error) {
	if m.left == 0 || m.client.relief == nil {
		return m.briefly(ctx, m.client.exchange)
	}
	relieved := make(chan relief)
	timer := time.AfterFunc(m.share(), func() { relieved <- m.relieve(ctx) })

	minted, err := m.attempt(ctx, m.client.exchange)
	if timer.Stop() {
		return minted, err
	}
	if err == nil || isFinal(err) {
		m.end()
	}
	retries := <-relieved
	switch {
	case err == nil:
		return minted, nil
	case retries.err == nil:
		return retries.minted, nil
	case isFinal(err), errors.Is(err, ErrTimeout):
		return nil, backoff.Permanent(err)
	default:
		return nil, backoff.Permanent(retries.err)
	}
}

// relieve makes the retries beside a patient attempt, and ends it if they decide.
func (m *minting) relieve(ctx context.Context) relief {
	m.left--
	m.client.closeIdleRelief() // they may be as dead as what hangs
	minted, err := m.retry(ctx, func(ctx context.Context) (*Token, error) {
		return m.briefly(ctx, m.client.relief)
	})
	if err == nil {
		m.client.hung.Store(true) // since xAI is not slow
	}
	if err == nil || isFinal(err) {
		m.end()
	}
	return relief{minted, err}
}

// relief is how the retries beside a patient attempt ended.
type relief struct {
	minted *Token
	err    error
}

// attempt calls xAI once, unless it is known how xAI would answer.
func (m *minting) attempt(ctx context.Context, exchange http.RoundTripper) (*Token, error) {
	return m.client.refusals.try(ctx, m, func() (*Token, error) {
		m.called.Store(true)
		return m.client.call(ctx, exchange, m.key, m.requestID)
	})
}

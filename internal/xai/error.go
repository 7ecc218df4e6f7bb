// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap/zapcore"
)

// The ways in which minting fails. Their texts are shown to strangers, also
// inside JSON strings: they are fixed and have no quotes.
var (
	ErrCanceled    = errors.New("nobody waits for the token any more")
	ErrAuth        = errors.New("xAI refused the API key of the server")
	ErrRefused     = errors.New("xAI refused the request")
	ErrRedirect    = errors.New("xAI answered with a redirect")
	ErrFailed      = errors.New("xAI failed")
	ErrUnreachable = errors.New("xAI cannot be reached")
	ErrUnusable    = errors.New("xAI sent an unusable answer")
	ErrRateLimited = errors.New("xAI is limiting the rate of requests")
	ErrTimeout     = errors.New("xAI did not answer in time")
)

// Error says why there is no token. What xAI or the network said is already free
// of the key and of tokens.
type Error struct {
	Failure         error         // one of those above
	Status          int           // xAI's, 0 where none came
	RequestID       string        // xAI's x-request-id
	ClientRequestID string        // ours, the same for all attempts
	Message         string        // xAI's words, or the transport's
	IsJSON          bool          // whether they are JSON, as all of xAI's are
	RetryAfter      time.Duration // how long xAI asks to wait, at most an hour; 0 where it does not
	Called          bool          // whether xAI was called, reached or not

	final bool // whether another attempt would not change it
}

func isFinal(err error) bool {
	failed, ok := errors.AsType[*Error](err)
	return ok && failed.final
}

func (e *Error) Error() string { return e.Failure.Error() }

// Unwrap lets the back-off of requests and of refills see how long xAI asks to
// wait, as far as that is heeded.
func (e *Error) Unwrap() error {
	if e.RetryAfter > 0 {
		return &backoff.RetryAfterError{Duration: min(e.RetryAfter, maxHold)}
	}
	return e.Failure
}

// MarshalLogObject describes the failure in a log.
func (e *Error) MarshalLogObject(encoder zapcore.ObjectEncoder) error {
	encoder.AddString("client_request_id", e.ClientRequestID)
	encoder.AddInt("upstream_status", e.Status)
	encoder.AddString("upstream_request_id", e.RequestID)
	encoder.AddString("upstream_message", e.Message)
	return nil
}

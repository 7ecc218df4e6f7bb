// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package xai exchanges an API key for an ephemeral token: one call to xAI with
// its time, its retries, and what its answer means. It knows nothing of who asks
// for the token, and why.
package xai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// userAgent names this module to xAI.
const userAgent = "caddy-xai-ephemeral-token"

// maxBackoff is the middle of the first back-off, as in xAI's own SDK. It is
// scaled down for short timeouts, so that retries fit into them.
const maxBackoff = 250 * time.Millisecond

// maxShares is into how many shares, one for each attempt that may come, the
// time left is split at most. More would leave an attempt too little to succeed.
const maxShares = 10

// minPing is the least time that xAI gets to answer an HTTP/2 ping.
const minPing = 500 * time.Millisecond

// Config says how to mint.
type Config struct {
	Endpoint     string        // an absolute http or https URL
	ExpiresAfter time.Duration // whole seconds
	Session      json.RawMessage
	Timeout      time.Duration // of a whole Mint, retries included
	Retries      int           // the most that Mint will be asked for
	Transport    http.RoundTripper

	Requests *prometheus.CounterVec // counts each call by the status of its answer
	Duration prometheus.Observer    // observes how many seconds each call took

	Logger *zap.Logger // for what goes wrong and is tried again
}

// Client mints tokens. It knows nothing of the requests that ask for them.
type Client struct {
	config Config

	request   *http.Request     // what each call begins with
	exchange  http.RoundTripper // one call over the network
	closeIdle func()            // drops the connections that nobody uses
	hung      atomic.Bool       // an attempt hung since the last one began
	retired   atomic.Bool       // the config was unloaded
}

// NewClient returns a client, and bounds what its transport may hold in memory and
// for how long a dead connection goes unnoticed.
func NewClient(config *Config) (*Client, error) {
	request, err := newMintRequest(config)
	if err != nil {
		return nil, err
	}
	c := &Client{config: *config, request: request, exchange: newExchange(config), closeIdle: func() {}}
	if t, ok := config.Transport.(*reverseproxy.HTTPTransport); ok {
		c.closeIdle = t.Transport.CloseIdleConnections
		if t.Transport.MaxResponseHeaderBytes == 0 {
			t.Transport.MaxResponseHeaderBytes = maxAnswer // Go's own limit is 10 MiB
		}
		// Over HTTP/2 all calls share a connection. If it dies in silence, each of
		// them hangs, and closeIdle cannot drop it while another call is on it. A
		// ping finds out within the first attempt, unless attempts are so short
		// that a slow network could not answer it.
		if wait := config.Timeout / time.Duration(3*shares(config.Retries)); wait >= minPing {
			t.Transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: wait, PingTimeout: wait}
		}
	}
	return c, nil
}

// newMintRequest returns a request that lacks only what differs between calls.
func newMintRequest(config *Config) (*http.Request, error) {
	var parameters struct {
		ExpiresAfter struct {
			Seconds int64 `json:"seconds"`
		} `json:"expires_after"`
		Session json.RawMessage `json:"session,omitempty"`
	}
	parameters.ExpiresAfter.Seconds = int64(config.ExpiresAfter / time.Second)
	parameters.Session = config.Session
	body, err := json.Marshal(parameters)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, config.Endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = http.Header{
		"Content-Type": {"application/json"},
		"Accept":       {"application/json"},
		"User-Agent":   {userAgent},
	}
	return req, nil
}

// Retire closes idle connections, now and after each call that is still to come.
// Requests outlive their config for a while, and a connection that one of them
// leaves idle would outlive both.
func (c *Client) Retire() {
	c.retired.Store(true)
	c.closeIdle()
}

// Mint exchanges the key for a token within the timeout. It gives up when ctx
// ends, which must be because nobody waits for the token any more. The request ID
// is sent to xAI, with each attempt. Every error is an *Error.
func (c *Client) Mint(ctx context.Context, key, requestID string, retries int) (*Token, error) {
	defer func() {
		if c.retired.Load() {
			c.closeIdle()
		}
	}()

	// Only the end of ctx and its span count. Its other values belong to the
	// client's request: a reverse proxy in front of us, such as forward_auth,
	// leaves notes there on how it connected, and Caddy's transport follows them.
	callCtx, cancel := context.WithCancel(
		trace.ContextWithSpan(context.Background(), trace.SpanFromContext(ctx)))
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()

	minted, err := c.mintWithRetries(callCtx, key, requestID, retries)
	if err == nil {
		return minted, nil
	}
	failed, ok := errors.AsType[*Error](err)
	if !ok || ctx.Err() != nil {
		failed = &Error{Failure: ErrCanceled}
	}
	failed.ClientRequestID = requestID
	return nil, failed
}

func (c *Client) mintWithRetries(ctx context.Context, key, requestID string, retries int) (*Token, error) {
	deadline := time.Now().Add(c.config.Timeout)
	left := retries
	try := func() (*Token, error) {
		share := time.Until(deadline) / time.Duration(shares(left))
		left--
		ctx, cancel := context.WithTimeout(ctx, share)
		defer cancel()
		return c.attempt(ctx, key, requestID)
	}

	pace := backoff.NewExponentialBackOff()
	pace.InitialInterval = min(maxBackoff, c.config.Timeout/40)
	pace.Multiplier = 2
	return backoff.Retry(ctx, try,
		backoff.WithBackOff(pace),
		backoff.WithMaxTries(uint(retries)+1),
		backoff.WithMaxElapsedTime(c.config.Timeout),
		backoff.WithNotify(func(err error, wait time.Duration) {
			c.config.Logger.Debug("retrying", zap.Error(err), zap.Duration("wait", wait), zap.String("client_request_id", requestID))
		}))
}

// shares returns into how many shares the time is split that is left for an
// attempt and for the retries that may follow.
func shares(retries int) int {
	return min(retries, maxShares-1) + 1
}

// attempt calls xAI once.
func (c *Client) attempt(ctx context.Context, key, requestID string) (*Token, error) {
	if c.hung.Swap(false) {
		// The connection may have died in silence, and over HTTP/2 this attempt
		// would be sent over the same one. Not earlier, because the transport takes
		// a moment to see that the attempt which hung has left it idle.
		c.closeIdle()
	}

	// Caddy's transport expands placeholders and keeps notes in these. They are
	// new for each attempt, since a dial can outlive the attempt that began it.
	transportCtx := context.WithValue(ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())
	transportCtx = context.WithValue(transportCtx, caddyhttp.VarsCtxKey, make(map[string]any))

	req := c.request.Clone(transportCtx)
	req.Body, _ = req.GetBody() // cannot fail: it is in memory
	req.Header.Set("Authorization", bearerPrefix+key)
	req.Header.Set("X-Client-Request-Id", requestID)
	began := time.Now()
	resp, err := c.exchange.RoundTrip(req)
	if err != nil {
		failure := ErrUnreachable
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			failure = ErrTimeout
			c.hung.Store(true)
		}
		return nil, &Error{Failure: failure, Message: err.Error()}
	}
	defer resp.Body.Close()
	minted, err := readAnswer(resp, key, c.config.ExpiresAfter)
	if err != nil {
		return nil, err
	}
	minted.freshUntil = began.Add(c.config.ExpiresAfter / 2)
	return minted, nil
}

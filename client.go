// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

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

// The ways in which minting fails. See failures.
var (
	errCanceled            = errors.New("the client went away")
	errUpstreamAuth        = errors.New("xAI refused the API key of the server")
	errUpstreamRefused     = errors.New("xAI refused the request")
	errUpstreamRedirect    = errors.New("xAI answered with a redirect")
	errUpstreamFailed      = errors.New("xAI failed")
	errUpstreamUnreachable = errors.New("xAI cannot be reached")
	errUpstreamUnusable    = errors.New("xAI sent an unusable answer")
	errUpstreamRateLimited = errors.New("xAI is limiting the rate of requests")
	errTimeout             = errors.New("xAI did not answer in time")
)

// mintError says why there is no token. What xAI or the network said is already
// free of the key and of tokens.
type mintError struct {
	failure    error         // one of those above
	status     int           // xAI's, 0 where none came
	requestID  string        // xAI's x-request-id
	message    string        // xAI's words, or the transport's
	retryAfter time.Duration // how long xAI asks to wait, 0 where it does not
}

func (e *mintError) Error() string { return e.failure.Error() }

// fields describes the failure in a log.
func (e *mintError) fields(requestID string) []zap.Field {
	return []zap.Field{
		zap.String("client_request_id", requestID),
		zap.Int("upstream_status", e.status),
		zap.String("upstream_request_id", e.requestID),
		zap.String("upstream_message", e.message),
	}
}

// Unwrap lets backoff.Retry see what is final and how long xAI asks to wait.
func (e *mintError) Unwrap() error {
	if e.retryAfter > 0 {
		return &backoff.RetryAfterError{Duration: e.retryAfter}
	}
	return e.failure
}

type clientConfig struct {
	endpoint     string
	expiresAfter time.Duration
	session      json.RawMessage
	timeout      time.Duration
	retries      int
	transport    http.RoundTripper
	logger       *zap.Logger
}

// client mints tokens. It knows nothing of the requests that ask for them.
type client struct {
	clientConfig

	request   *http.Request // what each call begins with
	closeIdle func()        // drops the connections that nobody uses
	hung      atomic.Bool   // an attempt hung since the last one began
	retired   atomic.Bool   // the config was unloaded
}

func newClient(config clientConfig) (*client, error) {
	request, err := newMintRequest(config)
	if err != nil {
		return nil, err
	}
	c := &client{clientConfig: config, request: request, closeIdle: func() {}}
	if t, ok := config.transport.(*reverseproxy.HTTPTransport); ok {
		c.closeIdle = t.Transport.CloseIdleConnections
		if t.Transport.MaxResponseHeaderBytes == 0 {
			t.Transport.MaxResponseHeaderBytes = maxAnswer // Go's own limit is 10 MiB
		}
		// Over HTTP/2 all calls share a connection. If it dies in silence, each of
		// them hangs, and closeIdle cannot drop it while another call is on it. A
		// ping finds out within the first attempt, unless attempts are so short
		// that a slow network could not answer it.
		if wait := config.timeout / time.Duration(3*shares(config.retries)); wait >= minPing {
			t.Transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: wait, PingTimeout: wait}
		}
	}
	c.transport = newExchange(config.transport)
	return c, nil
}

// newMintRequest returns a request that lacks only what differs between calls.
func newMintRequest(config clientConfig) (*http.Request, error) {
	var parameters struct {
		ExpiresAfter struct {
			Seconds int64 `json:"seconds"`
		} `json:"expires_after"`
		Session json.RawMessage `json:"session,omitempty"`
	}
	parameters.ExpiresAfter.Seconds = int64(config.expiresAfter / time.Second)
	parameters.Session = config.session
	body, err := json.Marshal(parameters)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, config.endpoint, bytes.NewReader(body))
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

// retire closes idle connections, now and after each call that is still to come.
// Requests outlive their config for a while, and a connection that one of them
// leaves idle would outlive both.
func (c *client) retire() {
	c.retired.Store(true)
	c.closeIdle()
}

// mint exchanges the key for a token within the timeout. It gives up when ctx
// ends, which must be because nobody waits for the token any more. Every error is
// a *mintError.
func (c *client) mint(ctx context.Context, key, requestID string, retries int) (*token, error) {
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
	if failed, ok := errors.AsType[*mintError](err); ok && ctx.Err() == nil {
		return nil, failed
	}
	return nil, &mintError{failure: errCanceled}
}

func (c *client) mintWithRetries(ctx context.Context, key, requestID string, retries int) (*token, error) {
	deadline := time.Now().Add(c.timeout)
	left := retries
	try := func() (*token, error) {
		share := time.Until(deadline) / time.Duration(shares(left))
		left--
		ctx, cancel := context.WithTimeout(ctx, share)
		defer cancel()
		return c.attempt(ctx, key, requestID)
	}

	pace := backoff.NewExponentialBackOff()
	pace.InitialInterval = min(maxBackoff, c.timeout/40)
	pace.Multiplier = 2
	return backoff.Retry(ctx, try,
		backoff.WithBackOff(pace),
		backoff.WithMaxTries(uint(retries)+1),
		backoff.WithMaxElapsedTime(c.timeout),
		backoff.WithNotify(func(err error, wait time.Duration) {
			c.logger.Debug("retrying", zap.Error(err), zap.Duration("wait", wait), zap.String("client_request_id", requestID))
		}))
}

// shares returns into how many shares the time is split that is left for an
// attempt and for the retries that may follow.
func shares(retries int) int {
	return min(retries, maxShares-1) + 1
}

// attempt calls xAI once.
func (c *client) attempt(ctx context.Context, key, requestID string) (*token, error) {
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
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		failure := errUpstreamUnreachable
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			failure = errTimeout
			c.hung.Store(true)
		}
		return nil, &mintError{failure: failure, message: err.Error()}
	}
	defer resp.Body.Close()
	minted, err := readAnswer(resp, key, c.expiresAfter)
	if err != nil {
		return nil, err
	}
	minted.key = key
	minted.freshUntil = began.Add(c.expiresAfter / 2)
	return minted, nil
}

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
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// userAgent names this module to xAI.
const userAgent = "caddy-xai-ephemeral-token"

// The headers whose values differ between calls.
const (
	headerAuthorization = "Authorization"
	headerRequestID     = "X-Client-Request-Id"
)

// http2Protocol names HTTP/2 in a TLS handshake.
const http2Protocol = "h2"

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
	relief    http.RoundTripper // the same over other connections; nil where there is no telling them apart
	closeIdle func()            // drops the connections that nobody uses

	closeIdleRelief func() // drops those of relief only

	refusals *refusals
	hung     atomic.Bool // an attempt hung since the last one began
	retired  atomic.Bool // the config was unloaded
}

// NewClient returns a client, and bounds what its transport may hold in memory and
// for how long a dead connection goes unnoticed.
func NewClient(config *Config) (*Client, error) {
	request, err := newMintRequest(config)
	if err != nil {
		return nil, err
	}
	c := &Client{
		config: *config, request: request, exchange: newExchange(config, config.Transport), refusals: newRefusals(),
		closeIdle: func() {}, closeIdleRelief: func() {},
	}
	if t, ok := config.Transport.(*reverseproxy.HTTPTransport); ok {
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
		c.closeIdle = t.Transport.CloseIdleConnections
		if !slices.Contains(t.Versions, "3") { // whose connections Caddy keeps to itself
			relief := withOtherConnections(t)
			c.relief = newExchange(config, relief)
			c.closeIdleRelief = relief.Transport.CloseIdleConnections
			c.closeIdle = func() {
				t.Transport.CloseIdleConnections()
				c.closeIdleRelief()
			}
		}
	}
	return c, nil
}

// withOtherConnections returns a transport like t that shares no connection with
// it.
func withOtherConnections(t *reverseproxy.HTTPTransport) *reverseproxy.HTTPTransport {
	other := *t
	other.Transport = t.Transport.Clone()
	if _, ok := other.Transport.TLSNextProto[http2Protocol]; ok {
		// Caddy has installed HTTP/2 there, together with the connections.
		other.Transport.TLSNextProto = nil
		other.Transport.ForceAttemptHTTP2 = true
	}
	return &other
}

// newMintRequest returns a request that lacks only what differs between calls, and
// has the places for it.
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
		"Content-Type":      {"application/json"},
		"Accept":            {"application/json"},
		"User-Agent":        {userAgent},
		headerAuthorization: {""},
		headerRequestID:     {""},
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

	minting := c.newMinting(key, requestID, retries)
	// Only the end of ctx and its span count. Its other values belong to the
	// client's request: a reverse proxy in front of us, such as forward_auth,
	// leaves notes there on how it connected, and Caddy's transport follows them.
	callCtx, end := context.WithDeadline(
		trace.ContextWithSpan(context.Background(), trace.SpanFromContext(ctx)), minting.deadline)
	defer end()
	defer context.AfterFunc(ctx, end)()
	minting.end = end

	minted, err := minting.run(callCtx)
	if err == nil {
		return minted, nil
	}
	failed, ok := errors.AsType[*Error](err)
	if !ok || ctx.Err() != nil {
		failed = &Error{Failure: ErrCanceled}
	}
	failed.ClientRequestID, failed.Called = requestID, minting.called.Load()
	return nil, failed
}

// call calls xAI once.
func (c *Client) call(ctx context.Context, exchange http.RoundTripper, key, requestID string) (*Token, error) {
	if c.hung.Swap(false) {
		// The connection may have died in silence, and over HTTP/2 this attempt
		// would be sent over the same one. Not earlier, because the transport takes
		// a moment to see that the attempt which hung has left it idle.
		c.closeIdle()
	}

	req := c.request.Clone(&transportContext{Context: ctx})
	req.Body, _ = req.GetBody() // cannot fail: it is in memory
	req.Header[headerAuthorization][0] = bearerPrefix + key
	req.Header[headerRequestID][0] = requestID
	began := time.Now()
	resp, err := exchange.RoundTrip(req)
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
	minted.askedFor = began
	return minted, nil
}

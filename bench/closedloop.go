// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"
)

// answerLimit bounds how long one answer is waited for.
const answerLimit = 30 * time.Second

// closedLoop is a number of connections, on each of which a request follows as
// soon as the last one was answered.
type closedLoop struct {
	url     string
	clients []*fasthttp.HostClient // of one connection each
}

// closedLoopFigures says what a closed loop has done.
type closedLoopFigures struct {
	requests int
	elapsed  time.Duration
}

// perSecond returns how many requests were answered in a second.
func (f closedLoopFigures) perSecond() float64 {
	return float64(f.requests) / f.elapsed.Seconds()
}

func newClosedLoop(address string, connections int) *closedLoop {
	l := &closedLoop{url: "http://" + address, clients: make([]*fasthttp.HostClient, connections)}
	for i := range l.clients {
		l.clients[i] = &fasthttp.HostClient{
			Addr:                      address,
			MaxConns:                  1,
			MaxIdleConnDuration:       time.Hour, // bursts are far apart
			MaxIdemponentCallAttempts: 1,         // a broken connection is a failure
			ReadTimeout:               answerLimit,
			WriteTimeout:              answerLimit,
		}
	}
	return l
}

// close drops the connections.
func (l *closedLoop) close() {
	for _, client := range l.clients {
		client.CloseIdleConnections()
	}
}

// connect opens the connections, with requests that cost the server no token.
func (l *closedLoop) connect() error {
	var group errgroup.Group
	for _, client := range l.clients {
		group.Go(func() error {
			req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(req)
			defer fasthttp.ReleaseResponse(resp)
			req.SetRequestURI(l.url + "/")
			return client.Do(req, resp)
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("connecting to %s: %w", l.url, err)
	}
	return nil
}

// runFor asks for tokens for a time.
func (l *closedLoop) runFor(ctx context.Context, duration time.Duration) (closedLoopFigures, error) {
	start := time.Now()
	return l.run(ctx, func() bool { return time.Since(start) < duration })
}

// runOnce asks for a number of tokens.
func (l *closedLoop) runOnce(ctx context.Context, requests int) (closedLoopFigures, error) {
	var left atomic.Int64
	left.Store(int64(requests))
	return l.run(ctx, func() bool { return left.Add(-1) >= 0 })
}

// run asks for tokens on all connections while there is more to do. An answer
// without a token ends the run.
func (l *closedLoop) run(ctx context.Context, more func() bool) (closedLoopFigures, error) {
	var requests atomic.Int64
	group, running := errgroup.WithContext(ctx)
	start := time.Now()
	for _, client := range l.clients {
		group.Go(func() error {
			done, err := l.askWhile(client, func() bool { return running.Err() == nil && more() })
			requests.Add(int64(done))
			return err
		})
	}
	err := group.Wait()
	figures := closedLoopFigures{requests: int(requests.Load()), elapsed: time.Since(start)}
	if err == nil {
		err = ctx.Err()
	}
	return figures, err
}

// askWhile asks for tokens on one connection.
func (l *closedLoop) askWhile(client *fasthttp.HostClient, more func() bool) (requests int, err error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(l.url + "/session")
	req.Header.SetMethod(http.MethodPost)
	for more() {
		if err := client.Do(req, resp); err != nil {
			return requests, fmt.Errorf("asking %s: %w", l.url, err)
		}
		if err := checkAnswer(resp.StatusCode(), resp.Body()); err != nil {
			return requests, fmt.Errorf("asking %s: %w", l.url, err)
		}
		requests++
	}
	return requests, nil
}

// checkAnswer refuses an answer without a token.
func checkAnswer(status int, body []byte) error {
	if status != http.StatusOK || !bytes.Contains(body, []byte(`"`+tokenPrefix)) {
		return fmt.Errorf("got %d %.200q, want a token", status, body)
	}
	return nil
}

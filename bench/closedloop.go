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
			_, _, err := client.Get(nil, l.url+"/")
			return err
		})
	}
	return group.Wait()
}

// runFor asks for tokens for a time, and returns how many it got in all and in a
// second.
func (l *closedLoop) runFor(ctx context.Context, duration time.Duration) (answered int, perSecond float64, err error) {
	start := time.Now()
	return l.run(ctx, func() bool { return time.Since(start) < duration })
}

// runOnce asks for a number of tokens, and returns how many it got in a second.
func (l *closedLoop) runOnce(ctx context.Context, requests int) (perSecond float64, err error) {
	var left atomic.Int64
	left.Store(int64(requests))
	_, perSecond, err = l.run(ctx, func() bool { return left.Add(-1) >= 0 })
	return perSecond, err
}

// run asks for tokens on all connections while there is more to do. An answer
// without a token ends the run.
func (l *closedLoop) run(ctx context.Context, more func() bool) (answered int, perSecond float64, err error) {
	var requests atomic.Int64
	group, running := errgroup.WithContext(ctx)
	start := time.Now()
	for _, client := range l.clients {
		group.Go(func() error {
			req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(req)
			defer fasthttp.ReleaseResponse(resp)
			req.SetRequestURI(l.url + "/session")
			req.Header.SetMethod(http.MethodPost)
			for running.Err() == nil && more() {
				if err := client.Do(req, resp); err != nil {
					return err
				}
				if err := checkAnswer(resp.StatusCode(), resp.Body()); err != nil {
					return err
				}
				requests.Add(1)
			}
			return ctx.Err()
		})
	}
	err = group.Wait()
	answered = int(requests.Load())
	return answered, float64(answered) / time.Since(start).Seconds(), err
}

// checkAnswer refuses an answer without a token.
func checkAnswer(status int, body []byte) error {
	if status != http.StatusOK || !bytes.Contains(body, []byte(`"`+tokenPrefix)) {
		return fmt.Errorf("got %d %.200q, want a token", status, body)
	}
	return nil
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// overloadAfter is how many seconds' worth of requests may wait for answers
// before a server is said not to keep up.
const overloadAfter = 2

// openLoop asks for tokens at a rate, whether or not earlier requests were
// answered.
type openLoop struct {
	url    string
	rate   float64 // in a second
	client *http.Client
}

// openLoopFigures says how a server did.
type openLoopFigures struct {
	requests  int
	failures  int
	failure   string    // the first
	latencies []float64 // in milliseconds, of the requests that got a token
	lateness  []float64 // in milliseconds, of the load generator
	keptUp    bool
}

// add merges the figures of another round.
func (f *openLoopFigures) add(other openLoopFigures) {
	f.requests += other.requests
	f.failures += other.failures
	if f.failure == "" {
		f.failure = other.failure
	}
	f.latencies = append(f.latencies, other.latencies...)
	f.lateness = append(f.lateness, other.lateness...)
}

func newOpenLoop(address string, rate float64) *openLoop {
	return &openLoop{
		url:  "http://" + address + "/session",
		rate: rate,
		client: &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: vegeta.DefaultConnections},
			Timeout:   10 * time.Second,
		},
	}
}

// close drops the connections.
func (l *openLoop) close() {
	l.client.CloseIdleConnections()
}

// run asks for tokens for a time. It ends early when the server does not keep up.
func (l *openLoop) run(ctx context.Context, duration time.Duration, seed uint64) (openLoopFigures, error) {
	var answered atomic.Uint64
	var overloaded atomic.Bool
	pacer := newPoisson(l.rate, duration, seed, func(sent uint64) bool {
		if float64(sent-answered.Load()) > l.rate*overloadAfter {
			overloaded.Store(true)
		}
		return overloaded.Load()
	})
	attacker := vegeta.NewAttacker(vegeta.Client(l.client))
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()

	var figures openLoopFigures
	target := vegeta.Target{Method: http.MethodPost, URL: l.url}
	for result := range attacker.Attack(vegeta.NewStaticTargeter(target), pacer, 0, "") {
		answered.Add(1)
		figures.requests++
		figures.lateness = append(figures.lateness, milliseconds(pacer.lateness(result.Seq, result.Timestamp)))
		if failure := failureOf(result); failure == "" {
			figures.latencies = append(figures.latencies, milliseconds(result.Latency))
		} else {
			figures.failures++
			if figures.failure == "" {
				figures.failure = failure
			}
		}
	}
	figures.keptUp = !overloaded.Load()
	return figures, ctx.Err()
}

// failureOf says what is wrong with a result, if anything is.
func failureOf(result *vegeta.Result) string {
	if result.Error != "" {
		return result.Error
	}
	if err := checkAnswer(int(result.Code), result.Body); err != nil {
		return err.Error()
	}
	return ""
}

func milliseconds(d time.Duration) float64 {
	return float64(d) / float64(time.Millisecond)
}

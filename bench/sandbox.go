// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// refusedKey is an API key that the sandbox does not accept.
const refusedKey = "refused"

// faultyCall is which call to the sandbox goes wrong: one in so many.
const faultyCall = 40

// faults take turns.
var faults = []sandbox.Fault{
	sandbox.Status(http.StatusInternalServerError),
	sandbox.Status(http.StatusTooManyRequests),
	sandbox.Break(),
	sandbox.BreakMidBody(),
	sandbox.Delay(time.Second),
}

// serveSandbox is the sandbox with a fault now and then.
func serveSandbox() error {
	latency, err := time.ParseDuration(os.Getenv("LATENCY"))
	if err != nil {
		return fmt.Errorf("LATENCY: %w", err)
	}
	xai := &sandbox.Server{Latency: latency}
	var calls atomic.Int64
	server := &http.Server{
		Addr:              os.Getenv("ADDRESS"),
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer "+refusedKey {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			if n := calls.Add(1); n%faultyCall == 0 {
				xai.Script(faults[int(n/faultyCall)%len(faults)])
			}
			xai.ServeHTTP(w, r)
		}),
	}
	return server.ListenAndServe()
}

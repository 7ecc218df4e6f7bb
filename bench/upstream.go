// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
	"github.com/valyala/fasthttp"
)

const (
	mintingPath  = "/v1/realtime/client_secrets"
	inFlightPath = "/in-flight"

	apiKey      = "benchmark-key"
	tokenPrefix = "xai-realtime-client-secret-" //nolint:gosec // of tokens that open nothing
)

// upstream stands in for xAI. It is as lean as can be, since it shares the
// machine with what is measured.
type upstream struct {
	latency  time.Duration
	minted   atomic.Uint64
	inFlight atomic.Int64
}

func serveUpstream() error {
	latency, err := time.ParseDuration(os.Getenv("LATENCY"))
	if err != nil {
		return fmt.Errorf("LATENCY: %w", err)
	}
	u := &upstream{latency: latency}
	server := &fasthttp.Server{Handler: u.handle, NoDefaultServerHeader: true}
	return server.ListenAndServe(os.Getenv("ADDRESS"))
}

func (u *upstream) handle(ctx *fasthttp.RequestCtx) {
	switch string(ctx.Path()) {
	case mintingPath:
		u.mint(ctx)
	case inFlightPath:
		ctx.SetBodyString(strconv.FormatInt(u.inFlight.Load(), 10))
	default:
		ctx.SetStatusCode(fasthttp.StatusNotFound)
	}
}

// mint refuses what xAI would refuse: a contender must not win by leaving
// something out.
func (u *upstream) mint(ctx *fasthttp.RequestCtx) {
	switch {
	case !ctx.IsPost():
		ctx.SetStatusCode(fasthttp.StatusMethodNotAllowed)
		return
	case string(ctx.Request.Header.Peek("Authorization")) != "Bearer "+apiKey:
		ctx.SetStatusCode(fasthttp.StatusUnauthorized)
		return
	case string(ctx.Request.Header.ContentType()) != "application/json" || !bytes.Contains(ctx.PostBody(), []byte(`"expires_after"`)):
		ctx.SetStatusCode(fasthttp.StatusBadRequest)
		return
	}
	u.inFlight.Add(1)
	time.Sleep(u.latency)
	u.inFlight.Add(-1)
	ctx.SetContentType("application/json")
	// With 80 digits an answer has 143 bytes.
	ctx.SetBodyString(fmt.Sprintf(`{"value":"%s%080x","expires_at":%d}`, tokenPrefix, u.minted.Add(1), time.Now().Unix()+300))
}

// The sandbox does not accept refusedKey, and never answers hangingKey.
const (
	refusedKey = "refused"
	hangingKey = "xai-sandbox-hang"
)

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

// serveSandbox is the upstream of a soak: the sandbox with a fault now and then.
func serveSandbox() error {
	xai := &sandbox.Server{Latency: 20 * time.Millisecond}
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

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	mintingPath  = "/v1/realtime/client_secrets"
	inFlightPath = "/in-flight"

	apiKey      = "benchmark-key"
	tokenPrefix = "xai-realtime-client-secret-" //nolint:gosec // of tokens that open nothing
	tokenDigits = 80                            // an answer has 143 bytes then
	lifetime    = 300
)

// upstream stands in for xAI. It is as lean as can be, since it shares the
// machine with what is measured.
type upstream struct {
	latency  time.Duration
	run      string // differs from process to process
	minted   atomic.Uint64
	inFlight atomic.Int64
}

func serveUpstream() error {
	latency, err := time.ParseDuration(os.Getenv("LATENCY"))
	if err != nil {
		return fmt.Errorf("LATENCY: %w", err)
	}
	run := make([]byte, (tokenDigits-16)/2)
	if _, err := rand.Read(run); err != nil {
		return err
	}
	u := &upstream{latency: latency, run: hex.EncodeToString(run)}
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
	if u.latency > 0 {
		u.inFlight.Add(1)
		time.Sleep(u.latency)
		u.inFlight.Add(-1)
	}
	ctx.SetContentType("application/json")
	ctx.SetBodyString(fmt.Sprintf(`{"value":"%s%s%016x","expires_at":%d}`, tokenPrefix, u.run, u.minted.Add(1), time.Now().Unix()+lifetime))
}

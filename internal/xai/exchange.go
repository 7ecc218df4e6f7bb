// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// CodeError stands in Config.Requests for the status of an answer that never came.
const CodeError = "error"

const (
	bearerPrefix = "Bearer "

	// maxAnswer bounds what is read of an answer, decompressed. A token takes
	// some two hundred bytes.
	maxAnswer = 64 << 10
)

// exchange is an http.RoundTripper that reads the answer whole, so that all that
// can go wrong with it is one error, counted and measured in one place and free
// of secrets before a span or a log sees it.
type exchange struct {
	transport http.RoundTripper
	requests  *prometheus.CounterVec
	duration  prometheus.Observer
}

// newExchange puts a client span around each exchange of a traced request.
func newExchange(config *Config, transport http.RoundTripper) http.RoundTripper {
	return otelhttp.NewTransport(exchange{transport, config.Requests, config.Duration},
		// xAI gets no trace headers: they would tell it of our client's request.
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()),
		otelhttp.WithFilter(func(r *http.Request) bool {
			return trace.SpanContextFromContext(r.Context()).IsValid()
		}))
}

// RoundTrip implements http.RoundTripper. The answer's body is in memory and
// holds at most one byte more than maxAnswer.
func (e exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := e.roundTrip(req)
	code := CodeError
	if err == nil {
		code = strconv.Itoa(resp.StatusCode)
	}
	e.requests.WithLabelValues(code).Inc()
	e.duration.Observe(time.Since(start).Seconds())
	if err != nil {
		key := strings.TrimPrefix(req.Header.Get(headerAuthorization), bearerPrefix)
		return nil, errors.New(redact(err.Error(), key))
	}
	return resp, nil
}

func (e exchange) roundTrip(req *http.Request) (resp *http.Response, err error) {
	// The transport can be anybody's module. Its panic could print the key, and
	// in a call that no request waits for it would end the server.
	defer func() {
		if cause := recover(); cause != nil {
			resp, err = nil, fmt.Errorf("panic: %v", cause)
		}
	}()
	resp, err = e.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// Its body is the bare connection, which no deadline bounds any more.
		resp.Body = http.NoBody
		return resp, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		if isSuccess(resp.StatusCode) {
			return nil, err
		}
		// Of a refusal the status says enough. A body that was cut off may end in
		// the middle of the key, where nobody would recognize it.
		body = nil
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func isSuccess(status int) bool {
	return status >= 200 && status < 300
}

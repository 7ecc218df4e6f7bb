// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// TraceCollector receives what Caddy's tracing exports.
type TraceCollector struct {
	mu       sync.Mutex
	received bytes.Buffer
}

// ServeHTTP takes an export.
func (c *TraceCollector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = io.Copy(&c.received, r.Body)
}

// Spans returns all that was exported so far, as it came.
func (c *TraceCollector) Spans() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received.String()
}

// StartTraceCollector has the tracing of a Caddy that is started later export to a
// collector.
func StartTraceCollector(t *testing.T) *TraceCollector {
	t.Helper()
	c := new(TraceCollector)
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	return c
}

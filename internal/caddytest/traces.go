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

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// TraceCollector receives what Caddy's tracing exports.
type TraceCollector struct {
	mu       sync.Mutex
	received bytes.Buffer
}

// ServeHTTP takes an export.
func (c *TraceCollector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	export, err := io.ReadAll(r.Body)
	if err != nil {
		return // half of it could not be decoded
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received.Write(export)
}

// Spans returns all that was exported so far, as it came.
func (c *TraceCollector) Spans() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received.String()
}

// Decoded returns the spans that were exported so far.
func (c *TraceCollector) Decoded(t *testing.T) (spans []*tracepb.Span) {
	t.Helper()
	// Exports one after the other are, to protobuf, one with the spans of all.
	var data tracepb.TracesData
	if err := proto.Unmarshal([]byte(c.Spans()), &data); err != nil {
		t.Fatal(err)
	}
	for _, resource := range data.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			spans = append(spans, scope.GetSpans()...)
		}
	}
	return spans
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

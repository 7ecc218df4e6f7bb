// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package observability

import (
	"bytes"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// tracedSite is a site under Caddy's tracing.
func tracedSite(options ...string) string {
	return strings.Replace(caddytest.Site(options...), "{\n", "{\n\ttracing {\n\t\tspan site\n\t}\n", 1)
}

// requestSpan waits until the span of a number of requests is exported, which ends
// after those of the calls to xAI, and returns that of the last.
func requestSpan(t *testing.T, spans *caddytest.TraceCollector, requests int) (last *tracepb.Span) {
	t.Helper()
	caddytest.Eventually(t, "the span of the request is exported", func() bool {
		count := 0
		for _, span := range spans.Decoded(t) {
			if span.GetKind() == tracepb.Span_SPAN_KIND_SERVER {
				count++
				last = span
			}
		}
		return count == requests
	})
	return last
}

// clientSpans returns the spans of the calls that were made for a request.
func clientSpans(t *testing.T, spans *caddytest.TraceCollector, request *tracepb.Span) (calls []*tracepb.Span) {
	t.Helper()
	for _, span := range spans.Decoded(t) {
		if span.GetKind() == tracepb.Span_SPAN_KIND_CLIENT && bytes.Equal(span.GetTraceId(), request.GetTraceId()) {
			if !bytes.Equal(span.GetParentSpanId(), request.GetSpanId()) {
				t.Error("the parent of a client span is not the request's span")
			}
			calls = append(calls, span)
		}
	}
	return calls
}

func attributes(span *tracepb.Span) map[string]string {
	all := make(map[string]string)
	for _, attribute := range span.GetAttributes() {
		value := attribute.GetValue()
		all[attribute.GetKey()] = value.GetStringValue()
		if value.GetStringValue() == "" {
			all[attribute.GetKey()] = strconv.FormatInt(value.GetIntValue(), 10)
		}
	}
	return all
}

// TestTracing holds the spans of calls to xAI to the semantic conventions of HTTP
// clients: each call has one, with the attributes that are named there and no other.
func TestTracing(t *testing.T) {
	spans := caddytest.StartTraceCollector(t)
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, tracedSite("rate_limit off"))
	endpoint, err := url.Parse(up.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	// What the attributes of a call are, beside those that all have.
	answered := map[string]string{"http.response.status_code": "200", "network.protocol.version": "1.1"}
	failed := map[string]string{"http.response.status_code": "503", "error.type": "503", "network.protocol.version": "1.1"}
	broken := map[string]string{"error.type": "*errors.errorString", "network.protocol.version": "1.1"}
	tests := []struct {
		name   string
		faults []sandbox.Fault
		status int
		want   []map[string]string
	}{
		{"a mint is one span", nil, http.StatusOK, []map[string]string{answered}},
		{"one that is tried again after an answer is two", []sandbox.Fault{sandbox.Status(http.StatusServiceUnavailable)},
			http.StatusOK, []map[string]string{failed, answered}},
		{"one that is tried again after no answer is two", []sandbox.Fault{sandbox.Break()},
			http.StatusOK, []map[string]string{broken, answered}},
		{"one that fails is as many as there were attempts", []sandbox.Fault{sandbox.Break(), sandbox.Break(), sandbox.Status(http.StatusServiceUnavailable)},
			http.StatusBadGateway, []map[string]string{broken, broken, failed}},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			up.Script(test.faults...)
			got := s.Post()
			if got.StatusCode != test.status {
				t.Fatalf("got %d, want %d", got.StatusCode, test.status)
			}
			request := requestSpan(t, spans, i+1)
			calls := clientSpans(t, spans, request)
			if len(calls) != len(test.want) {
				t.Fatalf("there are %d spans of calls, want %d", len(calls), len(test.want))
			}
			for j, want := range test.want {
				want = maps.Clone(want)
				maps.Copy(want, map[string]string{
					"http.request.method": "POST", "url.full": endpoint.String(),
					"server.address": endpoint.Hostname(), "server.port": endpoint.Port(),
				})
				if got := attributes(calls[j]); !maps.Equal(got, want) {
					t.Errorf("call %d has the attributes %v, want %v", j+1, got, want)
				}
				_, isError := want["error.type"]
				if got := calls[j].GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR; got != isError {
					t.Errorf("call %d has the status %v", j+1, calls[j].GetStatus())
				}
			}
			secrets := []string{caddytest.Key}
			if test.status == http.StatusOK {
				secrets = append(secrets, caddytest.DecodeToken(t, got).Value)
			}
			for _, span := range append(calls, request) {
				if text := span.String(); slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(text, secret) }) {
					t.Errorf("a secret is in the span %s", text)
				}
			}
		})
	}
	for _, request := range up.Requests() {
		for _, name := range []string{"Traceparent", "Tracestate", "Baggage", "B3"} {
			if request.Header.Get(name) != "" {
				t.Errorf("xAI got the trace header %s", name)
			}
		}
	}
}

// TestTracingOfPrefetch asks for tokens that were minted ahead: no call was made for
// those requests, and refills belong to none.
func TestTracingOfPrefetch(t *testing.T) {
	spans := caddytest.StartTraceCollector(t)
	s := caddytest.Start(t, caddytest.NewUpstream(t), tracedSite("rate_limit off", "prefetch 2"))
	for range 3 {
		caddytest.DecodeToken(t, s.Post())
		s.WaitPrefetched(2) // so that the next request's span is exported after the refills
	}
	requestSpan(t, spans, 3)
	calls := slices.DeleteFunc(spans.Decoded(t), func(span *tracepb.Span) bool { return span.GetKind() != tracepb.Span_SPAN_KIND_CLIENT })
	if len(calls) != 1 {
		t.Errorf("there are %d spans of calls, want that of the first request", len(calls))
	}
}

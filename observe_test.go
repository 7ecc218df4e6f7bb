// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

func TestLogs(t *testing.T) {
	up := newUpstream(t)
	s := startCaddy(t, up, simpleSite)
	logged := func(t *testing.T, ask func() answer) map[string]any {
		t.Helper()
		before := len(s.logged())
		ask()
		entries := s.logged()[before:]
		if len(entries) != 1 {
			t.Fatalf("%d lines were logged, want 1: %v", len(entries), entries)
		}
		return entries[0]
	}
	expect := func(t *testing.T, entry, want map[string]any) {
		t.Helper()
		for name, value := range want {
			if entry[name] != value {
				t.Errorf("%s is %v, want %v", name, entry[name], value)
			}
		}
	}

	t.Run("a token is one info line", func(t *testing.T) {
		var token tokenJSON
		entry := logged(t, func() answer {
			got := s.post()
			token = decodeToken(t, got)
			return got
		})
		expect(t, entry, map[string]any{
			"level": "info", "token_id": tokenID(token.Value), "expires_at": float64(token.ExpiresAt),
			"user_id": "", "client_ip": "127.0.0.1", "prefetched": false,
		})
		if duration, ok := entry["duration"].(float64); !ok || duration <= 0 {
			t.Errorf("duration is %v", entry["duration"])
		}
	})
	t.Run("a failure of xAI is one error line", func(t *testing.T) {
		up.Script(sandbox.Answer(http.StatusBadRequest, `{"code":"x","error":"Your `+testKey+` is odd."}`, "X-Request-Id", "req-1"))
		entry := logged(t, func() answer { return s.post() })
		expect(t, entry, map[string]any{
			"level": "error", "msg": "xAI refused the request", "status": 502.0, "upstream_status": 400.0,
			"upstream_request_id": "req-1", "upstream_message": "Your [key] is odd.", "client_ip": "127.0.0.1",
		})
		if id, _ := entry["client_request_id"].(string); uuid.Validate(id) != nil {
			t.Errorf("client_request_id is %q, want a UUID", id)
		}
	})
	t.Run("a long message of xAI is cut", func(t *testing.T) {
		up.Script(sandbox.Answer(http.StatusBadRequest, `{"error":{"message":"`+strings.Repeat("x", 2000)+`"}}`))
		entry := logged(t, func() answer { return s.post() })
		expect(t, entry, map[string]any{"upstream_message": strings.Repeat("x", 512)})
	})
	t.Run("a wrong method is a debug line", func(t *testing.T) {
		entry := logged(t, func() answer { return s.do(http.MethodGet, s.url+"/session") })
		expect(t, entry, map[string]any{"level": "debug", "msg": "method not allowed", "status": 405.0})
	})
	t.Run("another website's request is a debug line", func(t *testing.T) {
		entry := logged(t, func() answer { return s.post("Sec-Fetch-Site", "cross-site") })
		expect(t, entry, map[string]any{"level": "debug", "msg": "cross-origin request refused", "status": 403.0})
	})
}

// metricValues returns the plugin's metrics, by name and labels.
func (s *caddyServer) metricValues() map[string]float64 {
	s.t.Helper()
	values := make(map[string]float64)
	body := s.do(http.MethodGet, s.admin+"/metrics").body
	for _, match := range regexp.MustCompile(`(?m)^(caddy_xai_ephemeral_token_\S+) (\S+)$`).FindAllStringSubmatch(body, -1) {
		value, err := strconv.ParseFloat(match[2], 64)
		if err != nil {
			s.t.Fatal(err)
		}
		values[match[1]] = value
	}
	return values
}

func TestMetrics(t *testing.T) {
	up := newUpstream(t)
	// Two handlers in one config share the collectors.
	s := startCaddy(t, up, simpleSite+strings.Replace(strings.Replace(simpleSite,
		"SITE", "SITE2", 1), "rate_limit off", "rate_limit 1 1h", 1))

	const prefix = "caddy_xai_ephemeral_token_"
	before := s.metricValues()
	s.post()
	s.do(http.MethodPost, s.url2+"/session")
	s.do(http.MethodPost, s.url2+"/session")
	s.do(http.MethodGet, s.url+"/session")
	s.post("Sec-Fetch-Site", "cross-site")
	up.Script(sandbox.Status(http.StatusInternalServerError), sandbox.Break())
	s.post()
	up.Script(sandbox.Status(http.StatusUnauthorized))
	s.post()

	changed := s.metricValues()
	maps.DeleteFunc(changed, func(name string, _ float64) bool {
		changed[name] -= before[name]
		return changed[name] == 0 || strings.HasPrefix(name, prefix+"upstream_duration_seconds_bucket") ||
			name == prefix+"upstream_duration_seconds_sum"
	})
	want := map[string]float64{
		prefix + `issued_total{source="minted"}`:         3,
		prefix + `errors_total{reason="rate_limit"}`:     1,
		prefix + `errors_total{reason="method"}`:         1,
		prefix + `errors_total{reason="cross_origin"}`:   1,
		prefix + `errors_total{reason="upstream_auth"}`:  1,
		prefix + `upstream_requests_total{code="200"}`:   3,
		prefix + `upstream_requests_total{code="401"}`:   1,
		prefix + `upstream_requests_total{code="500"}`:   1,
		prefix + `upstream_requests_total{code="error"}`: 1,
		prefix + `upstream_duration_seconds_count`:       6,
	}
	if !maps.Equal(changed, want) {
		t.Errorf("got %v, want %v", changed, want)
	}

	if err := s.load(simpleSite); err != nil {
		t.Fatal(err)
	}
	afterReload := s.metricValues()
	for name := range want {
		if afterReload[name] < want[name] {
			t.Errorf("%s is %v after a reload", name, afterReload[name])
		}
	}
}

// collector receives what Caddy's tracing exports.
type collector struct {
	mu       sync.Mutex
	received bytes.Buffer
}

func (c *collector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = io.Copy(&c.received, r.Body)
}

func (c *collector) spans() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received.String()
}

// startCollector has Caddy's tracing export to it.
func startCollector(t *testing.T) *collector {
	t.Helper()
	c := new(collector)
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	return c
}

func TestTracing(t *testing.T) {
	spans := startCollector(t)
	up := newUpstream(t)
	s := startCaddy(t, up, strings.Replace(simpleSite, "{\n", "{\n\ttracing {\n\t\tspan site\n\t}\n", 1))
	decodeToken(t, s.post())
	eventually(t, "the client span is exported", func() bool {
		exported := spans.spans()
		return strings.Contains(exported, "HTTP POST") && strings.Contains(exported, up.endpoint())
	})
	sent := up.requests()[0].Header
	for _, name := range []string{"Traceparent", "Tracestate", "Baggage", "B3"} {
		if sent.Get(name) != "" {
			t.Errorf("xAI got the trace header %s", name)
		}
	}
}

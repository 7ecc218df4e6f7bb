// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package observability

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

func TestLogs(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off"))
	logged := func(t *testing.T, ask func() caddytest.Answer) map[string]any {
		t.Helper()
		before := len(s.Logged())
		ask()
		entries := s.Logged()[before:]
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
		var token caddytest.Token
		entry := logged(t, func() caddytest.Answer {
			got := s.Post()
			token = caddytest.DecodeToken(t, got)
			return got
		})
		expect(t, entry, map[string]any{
			"level": "info", "token_id": caddytest.TokenID(token.Value), "expires_at": float64(token.ExpiresAt),
			"user_id": "", "client_ip": "127.0.0.1", "prefetched": false,
		})
		if duration, ok := entry["duration"].(float64); !ok || duration <= 0 {
			t.Errorf("duration is %v", entry["duration"])
		}
	})
	t.Run("a failure of xAI is one error line", func(t *testing.T) {
		up.Script(sandbox.Answer(http.StatusBadRequest, `{"code":"x","error":"Your `+caddytest.Key+` is odd."}`, "X-Request-Id", "req-1"))
		entry := logged(t, func() caddytest.Answer { return s.Post() })
		expect(t, entry, map[string]any{
			"level": "error", "msg": "xAI refused the request", "status": 502.0, "upstream_status": 400.0,
			"upstream_request_id": "req-1", "upstream_message": "Your [key] is odd.", "client_ip": "127.0.0.1",
		})
		if id, _ := entry["client_request_id"].(string); uuid.Validate(id) != nil {
			t.Errorf("client_request_id is %q, want a UUID", id)
		}
	})
	t.Run("a long message of xAI is cut", func(t *testing.T) {
		// Another failure than the one before, since equal ones are logged once a second.
		up.Script(sandbox.Answer(http.StatusNotImplemented, `{"error":{"message":"`+strings.Repeat("x", 2000)+`"}}`))
		entry := logged(t, func() caddytest.Answer { return s.Post() })
		expect(t, entry, map[string]any{"upstream_message": strings.Repeat("x", 512)})
	})
	t.Run("a wrong method is a debug line", func(t *testing.T) {
		entry := logged(t, func() caddytest.Answer { return s.Do(http.MethodGet, s.URL+"/session") })
		expect(t, entry, map[string]any{"level": "debug", "msg": "method not allowed", "status": 405.0})
	})
	t.Run("another website's request is a debug line", func(t *testing.T) {
		entry := logged(t, func() caddytest.Answer { return s.Post("Sec-Fetch-Site", "cross-site") })
		expect(t, entry, map[string]any{"level": "debug", "msg": "cross-origin request refused", "status": 403.0})
	})
}

func TestMetrics(t *testing.T) {
	up := caddytest.NewUpstream(t)
	// Two handlers in one config share the collectors.
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off")+
		strings.Replace(caddytest.Site("rate_limit 1 1h"), "SITE", "SITE2", 1))

	const prefix = "caddy_xai_ephemeral_token_"
	before := s.Metrics()
	s.Post()
	s.Do(http.MethodPost, s.URL2+"/session")
	s.Do(http.MethodPost, s.URL2+"/session")
	s.Do(http.MethodGet, s.URL+"/session")
	s.Post("Sec-Fetch-Site", "cross-site")
	s.Post("Sec-Purpose", "prefetch")
	up.Script(sandbox.Status(http.StatusInternalServerError), sandbox.Break())
	s.Post()
	up.Script(sandbox.Status(http.StatusUnauthorized))
	s.Post()

	changed := s.Metrics()
	maps.DeleteFunc(changed, func(name string, _ float64) bool {
		changed[name] -= before[name]
		return changed[name] == 0 || strings.HasPrefix(name, prefix+"upstream_duration_seconds_bucket") ||
			name == prefix+"upstream_duration_seconds_sum"
	})
	want := map[string]float64{
		prefix + `issued_total{source="minted"}`:         3,
		prefix + `errors_total{reason="rate_limit"}`:     1,
		prefix + `limited_total{limit="1"}`:              1,
		prefix + `errors_total{reason="method"}`:         1,
		prefix + `errors_total{reason="speculative"}`:    1,
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

	if err := s.Load(caddytest.Site("rate_limit off")); err != nil {
		t.Fatal(err)
	}
	afterReload := s.Metrics()
	for name := range want {
		if afterReload[name] < want[name] {
			t.Errorf("%s is %v after a reload", name, afterReload[name])
		}
	}
}

// TestMetricsBeginAtZero has each series at hand from the load on: an alert on an
// increase sees only what was there before.
func TestMetricsBeginAtZero(t *testing.T) {
	s := caddytest.Start(t, caddytest.NewUpstream(t), caddytest.Site("rate_limit 1 1h", "rate_limit 2 2h"))
	got := s.Metrics()
	for _, series := range []string{
		`issued_total{source="minted"}`, `issued_total{source="prefetched"}`,
		`errors_total{reason="speculative"}`, `errors_total{reason="limit_store"}`, `errors_total{reason="upstream_auth"}`,
		`limited_total{limit="1"}`, `limited_total{limit="2"}`, `limited_total{limit="failures"}`,
		`upstream_requests_total{code="200"}`, `upstream_requests_total{code="error"}`,
		`discarded_total{reason="stale"}`, `discarded_total{reason="unloaded"}`, `discarded_total{reason="client_gone"}`,
		"prefetched_tokens", "upstream_duration_seconds_count",
	} {
		if _, ok := got["caddy_xai_ephemeral_token_"+series]; !ok {
			t.Errorf("there is no %s", series)
		}
	}
}

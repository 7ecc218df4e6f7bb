// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// TestStormOnARevokedKey has clients of many addresses, whom no limit holds back,
// ask for tokens with a key that xAI refuses. The storm reaches neither xAI nor the
// disk.
func TestStormOnARevokedKey(t *testing.T) {
	const storm, longestLine = 10_000, 600
	up := caddytest.NewUpstream(t)
	// As much is logged as by default.
	global := strings.NewReplacer("\t\tlevel DEBUG\n", "", "\t\ttrace\n", "").Replace(caddytest.GlobalOptions)
	s := caddytest.StartBy(t, up, func(s *caddytest.Server) error {
		return s.LoadWhole(s.Expand(global + `
http://SITE {
	xai_ephemeral_token /session revoked-0123456789 {
		endpoint UPSTREAM
		rate_limit off
	}
	handle_errors {
		respond "{err.message}" {err.status_code}
	}
}
`))
	})
	before := len(s.ReadFile("caddy.log"))
	start := time.Now()
	var asked atomic.Int64
	stop := caddytest.KeepAsking(8, func() {
		asked.Add(1)
		got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session")
		if err != nil || got.StatusCode != http.StatusBadGateway || got.Body != "xAI refused the API key of the server" {
			t.Errorf("got %v %q and error %v, want 502", got.Response, got.Body, err)
		}
	})
	caddytest.Eventually(t, "the storm was long enough for a second line", func() bool {
		return asked.Load() >= storm && time.Since(start) > 1500*time.Millisecond
	})
	stop()
	seconds := int(math.Ceil(time.Since(start).Seconds())) + 1
	// At first several may ask before xAI has refused one of them.
	if calls := len(up.Requests()); calls > seconds+8 {
		t.Errorf("xAI was called %d times in %d seconds", calls, seconds)
	}
	logged := len(s.ReadFile("caddy.log")) - before
	if logged > seconds*longestLine {
		t.Errorf("%d bytes were logged in %d seconds", logged, seconds)
	}
	t.Logf("%d requests in %d s: %d calls to xAI, %d bytes of log", asked.Load(), seconds, len(up.Requests()), logged)

	told := 0
	entries := s.Logged()
	for _, entry := range entries {
		suppressed, _ := entry["suppressed"].(float64)
		told += 1 + int(suppressed)
	}
	if len(entries) < 2 || told <= len(entries) || told > int(asked.Load()) {
		t.Errorf("%d lines tell of %d failures, of %d", len(entries), told, asked.Load())
	}
}

// TestStormOfClientsThatLeave has one client ask and hang up, again and again.
func TestStormOfClientsThatLeave(t *testing.T) {
	up := caddytest.NewUpstream(t)
	up.Latency = time.Second
	s := caddytest.Start(t, up, caddytest.Site())
	stop := caddytest.KeepAsking(8, func() {
		ctx, leave := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer leave()
		_, _ = s.Try(ctx, http.MethodPost, s.URL+"/session") // there is no answer to most
	})
	caddytest.Eventually(t, "the client is held back", func() bool {
		return s.Metrics()[`caddy_xai_ephemeral_token_limited_total{limit="failures"}`] > 100
	})
	stop()
	// What is under way when the bound is reached goes on, and that a client left is
	// noticed after it has asked again.
	if calls := len(up.Requests()); calls == 0 || calls > 60+4*8 {
		t.Errorf("xAI was called %d times for one client", calls)
	}
	if strings.Contains(s.ReadFile("caddy.log"), `"level":"error"`) {
		t.Error("a client that leaves fills the log")
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// TestUnusableAnswers has xAI answer 200 with what nobody may get: the key, or a
// token that means something to whoever puts it between quotes, into a page or into
// a header.
func TestUnusableAnswers(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off")+`
http://SITE2 {
	xai_ephemeral_token /session `+caddytest.Key+` {
		endpoint UPSTREAM
		rate_limit off
		pass_thru
	}
	respond /session `+"`"+`{"token": "{http.xai_ephemeral_token.value}"}`+"`"+`
}
`)
	escaped := strings.ReplaceAll(caddytest.Key, "-", `\u002d`)
	answers := map[string]string{
		"the key as the token":                `{"value": "` + caddytest.Key + `"}`,
		"the key beside the token":            `{"value": "a", "debug": {"authorization": "Bearer ` + caddytest.Key + `"}}`,
		"the key as a name":                   `{"value": "a", "` + caddytest.Key + `": 1}`,
		"the key, escaped":                    `{"value": "a", "debug": "` + escaped + `"}`,
		"the key in JSON inside of JSON":      `{"value": "a", "debug": "{\"key\": \"` + strings.ReplaceAll(escaped, `\`, `\\`) + `\"}"}`,
		"a part of the token that is the key": `{"value": "xai-realtime-client-secret-` + caddytest.Key + `"}`,
	}
	for _, value := range []string{
		`a","role":"admin","x":"`, `"><script>alert(1)</script>`, "a'b", "a`b", "a&b", "a<b", "a>b", `a\b`, "a,b", "a b", "a\r\nb", "a\u200bb", "a\u202eb", "é", "a\x7fb",
	} {
		answer, err := json.Marshal(map[string]string{"value": value})
		if err != nil {
			t.Fatal(err)
		}
		answers[fmt.Sprintf("the token %q", value)] = string(answer)
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			for _, url := range []string{s.URL, s.URL2} {
				up.Script(sandbox.Answer(http.StatusOK, answer))
				got := s.Do(http.MethodPost, url+"/session")
				if got.StatusCode != http.StatusBadGateway || got.Body != "" {
					t.Errorf("got %d %q, want 502", got.StatusCode, got.Body)
				}
			}
		})
	}
	t.Run("a token as xAI makes them", func(t *testing.T) {
		up.Script(sandbox.Answer(http.StatusOK, `{"value": "xai-realtime-client-secret-AZaz09-_.~+/=:;!#$%()*?@[]^{|}"}`))
		caddytest.DecodeToken(t, s.Post())
	})
}

// TestPrefetchedTokenEndsWhenXAISays has an xAI that lets tokens live for less than
// was asked. None is handed out when more than half of that is over.
func TestPrefetchedTokenEndsWhenXAISays(t *testing.T) {
	const life = 4 // seconds, since xAI counts in them
	up := caddytest.NewUpstream(t)
	short := func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		_, _ = fmt.Fprintf(w, `{"value": "a%d", "expires_at": %d}`, time.Now().UnixNano(), time.Now().Unix()+life)
	}
	for range 100 {
		up.Script(short)
	}
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off", "prefetch 1", "expires_after 1h"))
	caddytest.DecodeToken(t, s.Post())
	s.WaitPrefetched(1)
	time.Sleep((life - 1) * time.Second) // the token's own time
	token := caddytest.DecodeToken(t, s.Post())
	if left := token.ExpiresAt - time.Now().Unix(); left < life/2 {
		t.Errorf("a token that ends in %d seconds", left)
	}
}

// TestLongRetryAfter has xAI ask to come back next year.
func TestLongRetryAfter(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit off", "prefetch 1"))
	caddytest.DecodeToken(t, s.Post())
	s.WaitPrefetched(1)
	for _, wait := range []string{"1790000000", "99999999999999999999", time.Now().Add(365 * 24 * time.Hour).UTC().Format(http.TimeFormat)} {
		up.Script(sandbox.Status(http.StatusTooManyRequests, "Retry-After", wait))
	}
	caddytest.DecodeToken(t, s.Post()) // from what is kept; the refill is told
	caddytest.Eventually(t, "prefetching pauses", func() bool { return strings.Contains(s.ReadFile("caddy.log"), "prefetching paused") })
	for range 2 {
		got := s.Post()
		if told, err := strconv.Atoi(got.Header.Get("Retry-After")); got.StatusCode != http.StatusServiceUnavailable || err != nil || told > 3600 || told < 3500 {
			t.Errorf("got %d and Retry-After %q", got.StatusCode, got.Header.Get("Retry-After"))
		}
	}
	for _, entry := range s.Logged() {
		if entry["msg"] == "prefetching paused" {
			if pause, ok := entry["wait"].(float64); !ok || pause > 300 {
				t.Errorf("paused for %v", entry)
			}
		}
	}
}

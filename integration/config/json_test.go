// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// nativeConfig is a whole config in Caddy's own JSON. HANDLER is the inside of
// the handler's object.
const nativeConfig = `{
	"admin": {"listen": "ADMIN", "config": {"persist": false}},
	"storage": {"module": "file_system", "root": "DIR/storage"},
	"logging": {"logs": {"default": {
		"level": "DEBUG",
		"writer": {"output": "file", "filename": "DIR/caddy.log", "roll": false},
		"encoder": {"format": "json"}
	}}},
	"apps": {"http": {
		"grace_period": "5s",
		"servers": {"native": {
			"listen": ["SITE"],
			"automatic_https": {"disable": true},
			"routes": [
				{
					"match": [{"path": ["/session"]}],
					"handle": [
						{"handler": "xai_ephemeral_token", HANDLER},
						{"handler": "static_response", "body": "{http.xai_ephemeral_token.value}"}
					]
				}
			]
		}}
	}}
}`

// loadNative replaces the running config by nativeConfig.
func loadNative(s *caddytest.Server, handler string) error {
	return s.LoadJSON(s.Expand(strings.Replace(nativeConfig, "HANDLER", handler, 1)))
}

// minimalHandler is the least that works against the tests' upstream.
const minimalHandler = `"api_key": "` + caddytest.Key + `", "endpoint": "UPSTREAM"`

// startNativeCaddy serves nativeConfig until the test ends.
func startNativeCaddy(t *testing.T, upstream *caddytest.Upstream, handler string) *caddytest.Server {
	t.Helper()
	return caddytest.StartBy(t, upstream, func(s *caddytest.Server) error { return loadNative(s, handler) })
}

func TestNativeJSON(t *testing.T) {
	t.Setenv("XAI_TEST_KEY", caddytest.Key)
	up := caddytest.NewUpstream(t)
	s := startNativeCaddy(t, up, `
		"api_key": "{env.XAI_TEST_KEY}",
		"expires_after": "90s",
		"session": {"model": "grok-voice-latest", "reasoning": {"effort": "none"}},
		"endpoint": "UPSTREAM",
		"timeout": "1m30s",
		"retries": 1,
		"methods": ["GET", "POST"],
		"trusted_origins": ["https://app.example.com"],
		"rate_limits": [{"count": 3, "window": "1h", "key": "{http.request.header.X-User}"}],
		"pass_thru": true,
		"transport": {"protocol": "http", "compression": false, "network_proxy": {"from": "none"}}
	`)
	const app = "https://app.example.com"

	t.Run("mints what the options say", func(t *testing.T) {
		got := s.Post("Origin", app)
		if got.StatusCode != http.StatusOK || !strings.HasPrefix(got.Body, "xai-realtime-client-secret-") {
			t.Fatalf("got %d %q", got.StatusCode, got.Body)
		}
		if got.Header.Get("Access-Control-Allow-Origin") != app || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("got the headers %v", got.Header)
		}
		sent := up.Requests()[0]
		var body any
		if err := json.Unmarshal([]byte(sent.Body), &body); err != nil {
			t.Fatal(err)
		}
		encoded, err := json.Marshal(body) // with sorted keys
		if err != nil {
			t.Fatal(err)
		}
		const want = `{"expires_after":{"seconds":90},"session":{"model":"grok-voice-latest","reasoning":{"effort":"none"}}}`
		if string(encoded) != want {
			t.Errorf("sent %s, want %s", encoded, want)
		}
		if sent.Header.Get("Accept-Encoding") != "" {
			t.Error("the options of the transport are not used")
		}
	})
	t.Run("retries as often as told", func(t *testing.T) {
		before := len(up.Requests())
		up.Script(sandbox.Status(500), sandbox.Status(500))
		if got := s.Do(http.MethodGet, s.URL+"/session"); got.StatusCode != http.StatusBadGateway {
			t.Errorf("got %d, want 502", got.StatusCode)
		}
		if n := len(up.Requests()) - before; n != 2 {
			t.Errorf("xAI was called %d times, want 2", n)
		}
	})
	t.Run("limits as told", func(t *testing.T) {
		for _, want := range []int{200, 200, 200, 429} {
			if got := s.Post("X-User", "alice"); got.StatusCode != want {
				t.Errorf("got %d, want %d", got.StatusCode, want)
			}
		}
	})
}

func TestNativeJSONDefaults(t *testing.T) {
	t.Setenv("XAI_API_KEY", caddytest.Key)
	up := caddytest.NewUpstream(t)
	tests := []struct{ name, handler string }{
		{"options that are absent", `"endpoint": "UPSTREAM"`},
		{"options that are zero", `"endpoint": "UPSTREAM", "api_key": "", "expires_after": 0, "timeout": 0, "methods": [], ` +
			`"trusted_origins": [], "prefetch": 0, "pass_thru": false`},
		{"options that are null", `"endpoint": "UPSTREAM", "api_key": null, "expires_after": 0, "retries": null, "methods": null, ` +
			`"trusted_origins": null, "rate_limits": null, "unlimited": null, "prefetch": null, "pass_thru": null, ` +
			`"limit_store": null, "transport": null`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := startNativeCaddy(t, up, test.handler)
			before := len(up.Requests())
			up.Script(sandbox.Status(500), sandbox.Status(500))
			caddytest.DecodeToken(t, s.Post())
			calls := up.Requests()[before:]
			if len(calls) != 3 || calls[0].Body != `{"expires_after":{"seconds":300}}` {
				t.Errorf("xAI was called %d times with %s", len(calls), calls[0].Body)
			}
			for range 9 {
				caddytest.DecodeToken(t, s.Post())
			}
			got := s.Post()
			wait, err := time.ParseDuration(got.Header.Get("Retry-After") + "s")
			if got.StatusCode != http.StatusTooManyRequests || err != nil || wait < 30*time.Second || wait > time.Minute {
				t.Errorf("got %d with Retry-After %q", got.StatusCode, got.Header.Get("Retry-After"))
			}
			if got := s.Do(http.MethodGet, s.URL+"/session"); got.Header.Get("Allow") != "POST" {
				t.Errorf("got %d with Allow %q", got.StatusCode, got.Header.Get("Allow"))
			}
		})
	}
}

func TestNativeJSONDurations(t *testing.T) {
	for duration, want := range map[string]string{
		`"90s"`: "90", `"1m30s"`: "90", `"1h"`: "3600", `"1s"`: "1", `"2000ms"`: "2", "90000000000": "90",
	} {
		t.Run(duration, func(t *testing.T) {
			up := caddytest.NewUpstream(t)
			s := startNativeCaddy(t, up, minimalHandler+`, "expires_after": `+duration)
			caddytest.DecodeToken(t, s.Post())
			if sent := up.Requests()[0].Body; sent != `{"expires_after":{"seconds":`+want+`}}` {
				t.Errorf("sent %s, want %s seconds", sent, want)
			}
		})
	}
}

func TestNativeJSONErrors(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := startNativeCaddy(t, up, minimalHandler+`, "unlimited": true`)
	tests := []struct {
		name, option, want string
	}{
		{"unknown field", `"retry": 2`, `unknown field "retry"`},
		{"unknown field of rate_limits", `"rate_limits": [{"count": 1, "window": "1m", "burst": 2}]`, `unknown field "burst"`},
		{"unknown field of transport", `"transport": {"protocol": "http", "speed": 1}`, `unknown field "speed"`},

		{"api_key that is no string", `"api_key": 5`, "api_key of type string"},
		{"session that is an array", `"session": ["grok"]`, "session: not a JSON object"},
		{"session that is a string", `"session": "{}"`, "session: not a JSON object"},
		{"session that is a number", `"session": 1`, "session: not a JSON object"},
		{"session that is null", `"session": null`, "session: not a JSON object"},
		{"endpoint that is no string", `"endpoint": {}`, "endpoint of type string"},
		{"retries that are a string", `"retries": "2"`, "retries of type int"},
		{"retries that are a fraction", `"retries": 1.5`, "retries of type int"},
		{"methods that are a string", `"methods": "POST"`, "methods of type []string"},
		{"trusted_origins that are a string", `"trusted_origins": "https://a.com"`, "trusted_origins of type []string"},
		{"rate_limits that are off", `"rate_limits": "off"`, `or "unlimited": true for none`},
		{"rate_limits as in a Caddyfile", `"rate_limits": "10 1m"`, `write [{"count": 10, "window": "1m"}]`},
		{"a limit as in a Caddyfile", `"rate_limits": ["10 1m"]`, `write [{"count": 10, "window": "1m"}]`},
		{"a limit without its list", `"rate_limits": {"count": 10, "window": "1m"}`, `write [{"count": 10, "window": "1m"}]`},
		{"the name that rate_limits had before", `"rate_limit": {"count": 1, "window": "1m"}`, `unknown field "rate_limit"`},
		{"a count that is a string", `"rate_limits": [{"count": "1", "window": "1m"}]`, "rate_limits: json: cannot unmarshal string into Go struct field RateLimit.count of type int"},
		{"prefetch that is a string", `"prefetch": "8"`, "prefetch of type int"},
		{"prefetch that is negative", `"prefetch": -1`, "prefetch: -1 is out of range; it must be from 0 to 1024"},
		{"prefetch of too many", `"prefetch": 1025`, "prefetch: 1025 is out of range; it must be from 0 to 1024"},
		{"pass_thru that is a string", `"pass_thru": "on"`, "pass_thru of type bool"},
		{"transport that is a string", `"transport": "http"`, "transport: "},

		// Caddy decodes durations, and names the value alone.
		{"expires_after that is no duration", `"expires_after": "soon"`, `invalid duration "soon"`},
		{"expires_after without a unit, as a string", `"expires_after": "5"`, `missing unit in duration "5"`},
		{"timeout of the wrong type", `"timeout": true`, "cannot unmarshal bool"},
		{"a window that is no duration", `"rate_limits": [{"count": 1, "window": "soon"}]`, `rate_limits: time: invalid duration "soon"`},

		{"expires_after too long", `"expires_after": "2h"`, "expires_after: 2h0m0s is out of range; it takes whole seconds from 1s to 1h"},
		{"expires_after in nanoseconds", `"expires_after": 5`, "a number without a unit is in nanoseconds, so write \"5s\" or \"5m\""},
		{"expires_after a second too long", `"expires_after": "3601s"`, "expires_after: 1h0m1s is out of range"},
		{"expires_after with a fraction", `"expires_after": "1500ms"`, "expires_after: 1.5s is out of range; it takes whole seconds from 1s to 1h"},
		{"expires_after without a unit", `"expires_after": 300`, "expires_after: 300ns is out of range; it takes whole seconds from 1s to 1h"},
		{"expires_after that is negative", `"expires_after": "-1m"`, "expires_after: -1m0s is out of range"},
		{"endpoint that is relative", `"endpoint": "/v1/realtime/client_secrets"`, "endpoint: not an absolute http or https URL"},
		{"endpoint of another scheme", `"endpoint": "wss://api.x.ai/v1/realtime"`, "endpoint: not an absolute http or https URL"},
		{"endpoint with user information", `"endpoint": "https://u:SECRET@api.x.ai"`, "endpoint: the URL must not have user information"},
		{"endpoint with a placeholder that nobody sets", `"endpoint": "{env.XAI_UNSET_URL}"`, "endpoint: "},
		{"endpoint with a placeholder of requests", `"endpoint": "https://{http.request.host}/"`, "endpoint: "},
		{"timeout in nanoseconds", `"timeout": 10`, "timeout: 10ns is too short; a number without a unit is in nanoseconds, so write \"10s\" or \"10m\""},
		{"timeout that is negative", `"timeout": "-1s"`, "timeout: -1s is out of range"},
		{"retries that are negative", `"retries": -1`, "retries: -1 is out of range; it must be 0 or more"},
		{"a method that is not supported", `"methods": ["PUT"]`, `methods: "PUT" is not supported`},
		{"a method in small letters", `"methods": ["post"]`, `methods: "post" is not supported`},
		{"a method twice", `"methods": ["POST", "POST"]`, "methods: POST is given twice"},
		{"any origin", `"trusted_origins": ["*"]`, `trusted_origins: "*" has a wildcard`},
		{"an origin with a path", `"trusted_origins": ["https://a.com/"]`, "trusted_origins: "},
		{"an empty origin", `"trusted_origins": [""]`, "trusted_origins: "},
		{"a count of zero", `"rate_limits": [{"count": 0, "window": "1m"}]`, "rate_limit: the count 0 is out of range"},
		{"a limit that is empty", `"rate_limits": [{}]`, "rate_limit: the count 0 is out of range"},
		{"a limit without a window", `"rate_limits": [{"count": 1}]`, "rate_limit: the window 0s is out of range"},
		{"a window in nanoseconds", `"rate_limits": [{"count": 1, "window": 60}]`, "rate_limit: the window 60ns is too short; a number without a unit is in nanoseconds, so write \"60s\" or \"60m\""},
		{"a window that is negative", `"rate_limits": [{"count": 1, "window": "-1m"}]`, "rate_limit: the window -1m0s is out of range"},
		{"a limit where there is none", `"unlimited": true, "rate_limits": [{"count": 1, "window": "1m"}]`, "rate_limit: it is off, and there is a limit, too"},
		{"a limit twice", `"rate_limits": [{"count": 1, "window": "1m", "key": "site"}, {"count": 2, "window": "60s", "key": "site"}]`, "rate_limit: there are two limits"},
		{"a store without limits", `"unlimited": true, "limit_store": {"store": "redis"}`, "limit_store: there is nothing to count with rate_limit off"},
		{"a store that is not there", `"limit_store": {"store": "pigeons"}`, "limit_store: "},
		{"transport with an unknown protocol", `"transport": {"protocol": "pigeon"}`, "transport: "},
		{"transport without a protocol", `"transport": {}`, "transport: "},
		{"transport with a mistake in it", `"transport": {"protocol": "http", "versions": ["4"]}`, "transport: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			handler := test.option
			if !strings.HasPrefix(handler, `"api_key"`) {
				handler += `, "api_key": "` + caddytest.Key + `"`
			}
			if !strings.HasPrefix(handler, `"endpoint"`) {
				handler += `, "endpoint": "UPSTREAM"`
			}
			err := loadNative(s, handler)
			if err == nil {
				t.Fatal("it was loaded")
			}
			if !strings.Contains(err.Error(), "xai_ephemeral_token: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %q, want %q", err, test.want)
			}
			for _, secret := range []string{caddytest.Key, "SECRET"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error %q tells a secret", err)
				}
			}
			// What was loaded before still serves.
			caddytest.DecodeToken(t, s.Post())
		})
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// adapt returns the handlers that a site with this directive has, as JSON.
func adapt(t *testing.T, site string) (string, error) {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("http://localhost {\n"+site+"\n}\n"), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return "", err
	}
	var config struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct {
					Routes []struct {
						Handle []struct {
							Routes []json.RawMessage
						}
					}
				}
			} `json:"http"`
		}
	}
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	var routes []string
	for _, route := range config.Apps.HTTP.Servers["srv0"].Routes[0].Handle[0].Routes {
		routes = append(routes, string(route))
	}
	return strings.Join(routes, " "), nil
}

func TestCaddyfile(t *testing.T) {
	for _, test := range []struct{ name, site, want string }{
		{"alone", `xai_sandbox`, `{"handle":[{"handler":"xai_sandbox"}]}`},
		{"an empty block", "xai_sandbox {\n}", `{"handle":[{"handler":"xai_sandbox"}]}`},
		{"a key and a latency", "xai_sandbox {\napi_key {env.KEY}\nlatency 250ms\n}", `{"handle":[{"api_key":"{env.KEY}","handler":"xai_sandbox","latency":250000000}]}`},
		{"no latency", "xai_sandbox {\nlatency 0s\n}", `{"handle":[{"handler":"xai_sandbox"}]}`},
		{"a matcher", `xai_sandbox /v1/*`, `{"handle":[{"handler":"xai_sandbox"}],"match":[{"path":["/v1/*"]}]}`},
		{"before respond", "respond 404\nxai_sandbox", `{"handle":[{"handler":"xai_sandbox"},{"handler":"static_response","status_code":404}]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, err := adapt(t, test.site); err != nil || got != test.want {
				t.Errorf("got %s and error %v\nwant %s", got, err, test.want)
			}
		})
	}
}

func TestCaddyfileMistakes(t *testing.T) {
	for _, test := range []struct{ name, site, want string }{
		{"a stray word", "xai_sandbox junk {\nlatency 1s\n}", "wrong argument count or unexpected line ending after 'xai_sandbox', at Caddyfile:2"},
		{"a stray word without a block", "xai_sandbox junk", "wrong argument count or unexpected line ending after 'xai_sandbox', at Caddyfile:2"},
		{"an unknown option", "xai_sandbox {\napi_keys some-key\n}", "unrecognized subdirective 'api_keys', at Caddyfile:3"},
		{"a key without a value", "xai_sandbox {\napi_key\n}", "wrong argument count or unexpected line ending after 'api_key', at Caddyfile:3"},
		{"an empty key", "xai_sandbox {\napi_key \"\"\n}", "api_key: the key is empty; leave it out to accept any, at Caddyfile:3"},
		{"two keys", "xai_sandbox {\napi_key some-key other-key\n}", "wrong argument count or unexpected line ending after 'api_key', at Caddyfile:3"},
		{"a key given twice", "xai_sandbox {\napi_key some-key\napi_key some-key\n}", "api_key is given twice, at Caddyfile:4"},
		{"a latency without a value", "xai_sandbox {\nlatency\n}", "wrong argument count or unexpected line ending after 'latency', at Caddyfile:3"},
		{"two latencies", "xai_sandbox {\nlatency 1s 2s\n}", "wrong argument count or unexpected line ending after 'latency', at Caddyfile:3"},
		{"a latency given twice", "xai_sandbox {\nlatency 1s\nlatency 1s\n}", "latency is given twice, at Caddyfile:4"},
		{"a latency that is no duration", "xai_sandbox {\nlatency soon\n}", `latency: time: invalid duration "soon", at Caddyfile:3`},
		{"a negative latency", "xai_sandbox {\nlatency -1s\n}", "latency: must not be negative, at Caddyfile:3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := adapt(t, test.site)
			if err == nil {
				t.Fatalf("adapted to %s", got)
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "some-key") {
				t.Errorf("got error %q, want %q", err, test.want)
			}
		})
	}
}

// load loads the module as Caddy does. Calling unload is what a reload does to it.
func load(t *testing.T, config string) (h *Handler, unload context.CancelFunc, err error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	module, err := ctx.LoadModuleByID("http.handlers.xai_sandbox", json.RawMessage(config))
	if err != nil {
		return nil, cancel, err
	}
	return module.(*Handler), cancel, nil
}

func TestProvision(t *testing.T) {
	t.Setenv("SANDBOX_TEST_KEY", "some-key")
	t.Setenv("SANDBOX_TEST_EMPTY", "")
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(" some-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile, err := json.Marshal(map[string]string{"api_key": "{file." + keyFile + "}"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, config, key, problem string }{
		{name: "no key", config: `{}`},
		{name: "a literal key", config: `{"api_key":"some-key"}`, key: "some-key"},
		{name: "a key of the environment", config: `{"api_key":"{env.SANDBOX_TEST_KEY}"}`, key: "some-key"},
		{name: "a key in a file", config: string(fromFile), key: "some-key"},
		{name: "a placeholder that is empty", config: `{"api_key":"{env.SANDBOX_TEST_EMPTY}"}`, problem: "api_key: evaluated placeholder {env.SANDBOX_TEST_EMPTY} is empty"},
		{name: "a key of white space", config: `{"api_key":" \t"}`, problem: `api_key: " \t" is empty`},
		{name: "a placeholder that is not set", config: `{"api_key":"{env.SANDBOX_TEST_UNSET}"}`, problem: "SANDBOX_TEST_UNSET"},
		{name: "a placeholder that does not exist", config: `{"api_key":"{nonsense}"}`, problem: "nonsense"},
		{name: "a negative latency", config: `{"latency":"-1s"}`, problem: "latency: must not be negative"},
		{name: "an unknown option", config: `{"api_keys":"some-key"}`, problem: "api_keys"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, _, err := load(t, test.config)
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) {
					t.Errorf("got error %v, want %q", err, test.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.server.APIKey != test.key {
				t.Errorf("the key is %q, want %q", h.server.APIKey, test.key)
			}
			encoded, err := json.Marshal(h) //nolint:gosec // that the key is not in there is what this is about
			if err != nil || string(encoded) != test.config {
				t.Errorf("the config became %s (%v), want it unchanged: %s", encoded, err, test.config)
			}
		})
	}
}

func TestHandler(t *testing.T) {
	h, unload, err := load(t, `{"api_key":"some-key","latency":"1ms"}`)
	if err != nil {
		t.Fatal(err)
	}
	if h.server.Latency != time.Millisecond {
		t.Errorf("the latency is %v", h.server.Latency)
	}
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("the next handler was called")
		return nil
	})
	server := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Caddy's own writers are around it, too.
		recorder := caddyhttp.NewResponseRecorder(w, nil, nil)
		if err := h.ServeHTTP(recorder, r, next); err != nil {
			t.Error(err)
		}
	}))
	token, _ := mintedBy(t, do(t, server, mintingRequest(t.Context(), t, server.URL)))
	c := dial(t, server.Client(), server.URL, withSubprotocol(token))

	r := mintingRequest(t.Context(), t, server.URL)
	r.URL.Path = "/elsewhere"
	if got := do(t, server, r); got.status != http.StatusNotFound {
		t.Errorf("got status %d, want 404", got.status)
	}

	unload()
	if _, _, err := c.conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("after a reload the session ended with %v, want status 1001", err)
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// FuzzUnmarshalCaddyfile looks for a block that crashes the parser, that it
// accepts although an option is out of range or does not survive its way through
// JSON, or that it refuses without saying where and why.
func FuzzUnmarshalCaddyfile(f *testing.F) {
	for _, seed := range []string{
		"api_key {env.A}\nexpires_after 90s\nretries 0\nmethods GET POST\npass_thru",
		"session `{\"a\": [1e3, {}], \"b\": \"<&>\"}`\ntimeout 5s\nrate_limit 3 1h {header.A}\nrate_limit 100 24h site\nprefetch",
		"endpoint https://u:p@[::1]:99/a?b#c\ntrusted_origins capacitor://localhost *",
		"endpoint https://{env.HOST}/v1\ntrusted_origins https://a.example.com http://[::1]:8080\nprefetch 1024",
		"rate_limit off\ntransport http {\n\ttls\n\tdial_timeout 1s\n}\n",
		"rate_limit off\ntransport http {\n\ttls\n}\n}",
		"api_key \"\xff\"\nsession {}\nexpires_after 1d",
		"prefetch {\n}", "retries 1\nretries 1", "methods <<X\nPOST\nX", "}\nxai_ephemeral_token {", "api_key `", "timeout 1s # x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, block string) {
		tokens, err := caddyfile.Tokenize([]byte(directive+" {\n"+block+"\n}"), "Caddyfile")
		if err != nil {
			t.Skip() // Caddy itself refuses it
		}
		handler := new(Handler)
		if err := handler.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
			checkCaddyfileError(t, err, strings.Count(block, "\n")+3)
			return
		}
		checkOptions(t, handler)
		encoded, err := json.Marshal(handler) //nolint:gosec // the keys are made up
		if err != nil {
			t.Fatal(err)
		}
		reloaded := new(Handler)
		if err := caddy.StrictUnmarshalJSON(encoded, reloaded); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(reloaded) //nolint:gosec // the keys are made up
		if err != nil || !bytes.Equal(again, encoded) {
			t.Errorf("%s became %s: %v", encoded, again, err)
		}
		before, after := withCompactJSON(t, handler), withCompactJSON(t, reloaded)
		utf8Only := strings.ToValidUTF8(block, "") == block
		if utf8Only && !reflect.DeepEqual(before, after) { //nolint:govet // options have no errors in them
			t.Errorf("%+v became %+v", handler, reloaded)
		}
	})
}

// checkCaddyfileError checks that an error names a line that there is, and
// something that stands in the block.
func checkCaddyfileError(t *testing.T, err error, lines int) {
	t.Helper()
	where := regexp.MustCompile(`, at Caddyfile:(\d+)`).FindStringSubmatch(err.Error())
	if where == nil {
		t.Errorf("the error %q names no line", err)
		return
	}
	if line, _ := strconv.Atoi(where[1]); line < 1 || line > lines {
		t.Errorf("the error %q names a line that is not there", err)
	}
}

// withCompactJSON returns the options with JSON as Caddy hands it on.
func withCompactJSON(t *testing.T, h *Handler) Handler {
	t.Helper()
	compact := Handler{
		APIKey: h.APIKey, ExpiresAfter: h.ExpiresAfter, Endpoint: h.Endpoint, Timeout: h.Timeout, Retries: h.Retries,
		Methods: h.Methods, TrustedOrigins: h.TrustedOrigins, RateLimits: h.RateLimits, Unlimited: h.Unlimited, Prefetch: h.Prefetch, PassThru: h.PassThru,
	}
	for _, raw := range []struct{ from, to *json.RawMessage }{
		{&h.Session, &compact.Session}, {&h.TransportRaw, &compact.TransportRaw},
	} {
		if len(*raw.from) == 0 {
			continue
		}
		var value any
		if err := json.Unmarshal(*raw.from, &value); err != nil {
			t.Fatal(err)
		}
		*raw.to, _ = json.Marshal(value) // what was decoded can be encoded
	}
	return compact
}

// FuzzJSON has Caddy load any JSON as the handler's config, and checks that what
// it accepts is within the documented bounds, and what xAI would be sent.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"api_key": "{http.vars.key}", "expires_after": "90s", "session": {"a": 1}}`,
		`{"api_key": "{http.vars.key}", "endpoint": "https://[::1]:99/a?b", "timeout": 1, "retries": 0}`,
		`{"api_key": "{http.vars.key}", "endpoint": "{env.NOT_SET}"}`,
		`{"api_key": "{http.vars.key}", "methods": ["GET", "POST"], "trusted_origins": ["https://a.example.com", "capacitor://localhost"]}`,
		`{"api_key": "{http.vars.key}", "trusted_origins": ["https://a.example.com:08443"]}`,
		`{"api_key": "{http.vars.key}", "rate_limits": [{"count": 3, "window": "1h", "key": "{http.request.remote.host}"}, {"count": 9, "window": "1h", "key": "site"}], "prefetch": 1024}`,
		`{"api_key": "{http.vars.key}", "unlimited": true, "pass_thru": true}`,
		`{"api_key": "{http.vars.key}", "rate_limits": [{}], "prefetch": 1025}`,
		`{"api_key": "{http.vars.key}", "transport": {"protocol": "http", "tls": {}}}`,
		`{"api_key": "{http.vars.key}", "transport": {"protocol": "fastcgi"}}`,
		`{"api_key": "{http.vars.key}", "session": null, "retries": null, "transport": null, "rate_limits": null, "limit_store": null}`,
		`{"api_key": "{env.NOT_SET}"}`, `{"API_KEY": "{http.vars.key}", "expires_after": 1e9}`, `{"expires_after": 3600000000001}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		if strings.Contains(string(config), "automate") {
			t.Skip() // needs Caddy's app for certificates, which there is none of here
		}
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		defer cancel()
		module, err := ctx.LoadModuleByID("http.handlers.xai_ephemeral_token", config)
		if err != nil {
			return
		}
		handler := module.(*Handler)
		checkOptions(t, handler)
		if len(handler.Methods) == 0 || handler.ExpiresAfter == 0 || handler.Timeout == 0 || handler.Retries == nil || (len(handler.RateLimits) > 0) == handler.Unlimited {
			t.Errorf("an option has no default: %+v", handler)
		}
		call := callOf(t, handler)
		want := fmt.Sprintf(`{"expires_after":{"seconds":%d}}`, time.Duration(handler.ExpiresAfter)/time.Second)
		if len(handler.Session) > 0 {
			want = strings.TrimSuffix(want, "}") + `,"session":` + string(handler.Session) + "}"
		}
		if !sameJSON(t, call.body, want) {
			t.Errorf("xAI would be sent %s, want %s", call.body, want)
		}
		if u := call.url; u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https" {
			t.Errorf("the call would go to %s", u)
		}
	})
}

// capturedCall is a RoundTripper that keeps what would be sent.
type capturedCall struct {
	fixedUpstream

	url  *url.URL
	body string
}

func (c *capturedCall) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	c.url, c.body = r.URL, string(body)
	if err != nil {
		return nil, err
	}
	return c.fixedUpstream.RoundTrip(r)
}

// callOf returns what a loaded handler sends to xAI.
func callOf(t *testing.T, h *Handler) *capturedCall {
	t.Helper()
	call := new(capturedCall)
	callInstead(t, h, call)
	if _, err := h.client.Mint(t.Context(), "a key", "", 0); err != nil {
		t.Fatal(err)
	}
	return call
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var decodedA, decodedB any
	if err := json.Unmarshal([]byte(a), &decodedA); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b), &decodedB); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(decodedA, decodedB)
}

// originForm is how a browser writes an origin.
var originForm = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://([^/?#@\\:%*{}\[\]A-Z\x00-\x20\x7f-\x{10ffff}]+|\[[0-9a-f:.]+\])(:(0|[1-9][0-9]{0,4}))?$`)

// checkOptions checks options that were accepted against what the README says of
// them. Those that are not set are fine.
func checkOptions(t *testing.T, h *Handler) {
	t.Helper()
	must := func(ok bool, option string, value any) {
		t.Helper()
		if !ok {
			t.Errorf("%s %v was accepted", option, value)
		}
	}
	seconds := time.Duration(h.ExpiresAfter).Seconds()
	must(seconds == 0 || seconds >= 1 && seconds <= 3600 && seconds == float64(int(seconds)), "expires_after", seconds)
	must(h.Timeout >= 0, "timeout", h.Timeout)
	must(h.Retries == nil || *h.Retries >= 0, "retries", h.Retries)
	must(h.Prefetch >= 0 && h.Prefetch <= 1024, "prefetch", h.Prefetch)
	for _, method := range h.Methods {
		must(method == http.MethodPost || method == http.MethodGet, "methods", method)
	}
	must(len(slices.Compact(slices.Sorted(slices.Values(h.Methods)))) == len(h.Methods), "methods", h.Methods)
	for _, origin := range h.TrustedOrigins {
		parts := originForm.FindStringSubmatch(origin)
		must(parts != nil, "trusted_origins", origin)
		if len(parts) == 4 && parts[3] != "" {
			port, _ := strconv.Atoi(parts[3])
			must(port <= 65535, "trusted_origins", origin)
		}
		must(!strings.HasPrefix(origin, "https://") || !strings.HasSuffix(origin, ":443"), "trusted_origins", origin)
		must(!strings.HasPrefix(origin, "http://") || !strings.HasSuffix(origin, ":80"), "trusted_origins", origin)
	}
	must(!h.Unlimited || len(h.RateLimits) == 0, "rate_limit", h.RateLimits)
	for _, limit := range h.RateLimits {
		must(limit.Count > 0 && limit.Count <= 1_000_000 && limit.Window > 0 && time.Duration(limit.Window) <= 31*24*time.Hour, "rate_limit", limit)
		must(limit.Key == "" || limit.Key == "site" || strings.Contains(limit.Key, "{"), "rate_limit", limit.Key)
	}
	if len(h.Session) > 0 {
		var object map[string]any
		must(json.Unmarshal(h.Session, &object) == nil && object != nil, "session", string(h.Session))
	}
	if h.Endpoint != "" && !strings.Contains(h.Endpoint, "{") {
		u, err := url.Parse(h.Endpoint)
		must(err == nil && regexp.MustCompile(`(?i)^https?://[^/?#@]+([/?][^#]*)?$`).MatchString(h.Endpoint) && u.Hostname() != "", "endpoint", h.Endpoint)
	}
}

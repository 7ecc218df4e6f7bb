// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata/adapt")

// TestAdapt compares each Caddyfile in testdata/adapt with the JSON that follows
// it after a line of ten dashes.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(strings.ReplaceAll(name, "_", " "), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			config, want, found := strings.Cut(string(content), "\n----------\n")
			if !found {
				t.Fatal("the golden has no line of ten dashes")
			}
			adapted, err := caddytest.Adapt(config + "\n")
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, adapted, "", "\t"); err != nil {
				t.Fatal(err)
			}
			if *update {
				golden := config + "\n----------\n" + got.String() + "\n"
				if err := os.WriteFile(file, []byte(golden), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got.String() != strings.TrimSpace(want) {
				t.Errorf("got\n%s\nwant\n%s", &got, want)
			}
		})
	}
}

// TestCaddyfileErrors puts each mistake on line 4 of a Caddyfile.
func TestCaddyfileErrors(t *testing.T) {
	tests := []struct {
		name, option, want string
	}{
		{"unknown option", "retry 2", "unrecognized subdirective 'retry'"},
		{"api_key without a value", "api_key", "wrong argument count or unexpected line ending after 'api_key'"},
		{"api_key with two values", "api_key SECRET SECRET", "wrong argument count or unexpected line ending after 'api_key'"},
		{"empty api_key", `api_key ""`, "api_key: the value is empty"},
		{"api_key with a placeholder in a placeholder", "api_key {file.{env.SECRET}/key}", "api_key: a brace is not part of a placeholder"},
		{"api_key with a placeholder that is not closed", "api_key {env.SECRET", "api_key: a brace is not part of a placeholder"},
		{"api_key with a brace", "api_key SECRET}", "api_key: a brace is not part of a placeholder"},
		{"expires_after without a value", "expires_after", "wrong argument count or unexpected line ending after 'expires_after'"},
		{"expires_after with two values", "expires_after 1m 2m", "wrong argument count or unexpected line ending after 'expires_after'"},
		{"expires_after without a unit", "expires_after 300", "expires_after: '300' is not a duration; write its unit, as in 300s or 300m"},
		{"expires_after of zero", "expires_after 0s", "expires_after: 0s is out of range; it must be more than zero"},
		{"expires_after that is negative", "expires_after -1m", "expires_after: -1m0s is out of range; it must be more than zero"},
		{"expires_after too short", "expires_after 999ms", "expires_after: 999ms is out of range; it takes whole seconds from 1s to 1h"},
		{"expires_after too long", "expires_after 3601s", "expires_after: 1h0m1s is out of range; it takes whole seconds from 1s to 1h"},
		{"expires_after with a fraction", "expires_after 1500ms", "expires_after: 1.5s is out of range; it takes whole seconds from 1s to 1h"},
		{"session without a value", "session", "session: write the JSON object in backticks"},
		{"session that is no JSON", "session grok", "session: not a JSON object: invalid character 'g' looking for beginning of value"},
		{"session that is taken for words", `session {"model": "grok"}`, "session: write the JSON object in backticks"},
		{"session that is taken for a block", "session {\n\"model\": \"grok\"\n}", "session: write the JSON object in backticks"},
		{"session with spaces, without quotes", "session {model: grok}", "session: write the JSON object in backticks"},
		{"session that is an array", "session []", "session: not a JSON object"},
		{"session that is null", "session null", "session: not a JSON object"},
		{"session with something behind it", "session `{} {}`", "session: not a JSON object"},
		{"session with a number too large to keep", "session `{\"n\": 9007199254740993}`", "session: Caddy cannot keep the number 9007199254740993 exactly"},
		{"session with a number out of range", "session `{\"n\": 1e999}`", "session: Caddy cannot keep the number 1e999 exactly"},
		{"endpoint without a value", "endpoint", "wrong argument count or unexpected line ending after 'endpoint'"},
		{"empty endpoint", `endpoint ""`, "endpoint: the value is empty"},
		{"endpoint that is relative", "endpoint /v1", "endpoint: not an absolute http or https URL"},
		{"endpoint with another scheme", "endpoint ftp://a", "endpoint: not an absolute http or https URL"},
		{"endpoint without a host", "endpoint https:///v1", "endpoint: the URL has no host"},
		{"endpoint with a port alone", "endpoint https://:443/v1", "endpoint: the URL has no host"},
		{"endpoint with a port out of range", "endpoint https://a:65536", "endpoint: the port 65536 is out of range"},
		{"endpoint with user information", "endpoint https://u:SECRET@a", "endpoint: the URL must not have user information"},
		{"endpoint with user information and a mistake", "endpoint https://u:SECRET@a:b", "endpoint: not a URL: invalid port"},
		{"endpoint with a fragment", "endpoint https://a/#b", "endpoint: the URL must not have a fragment"},
		{"endpoint with an empty fragment", "endpoint https://a/#", "endpoint: the URL must not have a fragment"},
		{"timeout that is no duration", "timeout soon", "timeout: 'soon' is not a duration"},
		{"timeout of zero", "timeout 0", "timeout: 0s is out of range; it must be more than zero"},
		{"retries without a value", "retries", "wrong argument count or unexpected line ending after 'retries'"},
		{"retries that are no number", "retries many", "retries: 'many' is not a whole number"},
		{"retries that are negative", "retries -1", "retries: -1 is out of range; it must be 0 or more"},
		{"no methods", "methods", "wrong argument count or unexpected line ending after 'methods'"},
		{"a method that is not supported", "methods POST PUT", `methods: "PUT" is not supported; it takes POST and GET`},
		{"methods with a comma between", "methods POST, GET", `methods: "POST," ends with a comma; write "POST"`},
		{"a method twice", "methods POST POST", "methods: POST is given twice"},
		{"no trusted origins", "trusted_origins", "wrong argument count or unexpected line ending after 'trusted_origins'"},
		{"any origin", "trusted_origins *", `trusted_origins: "*" has a wildcard; origins are compared exactly, so list each one`},
		{"an origin with a wildcard", "trusted_origins https://*.a.com", `trusted_origins: "https://*.a.com" has a wildcard`},
		{"an origin without a scheme", "trusted_origins a.com", `trusted_origins: "a.com" has no scheme; write "https://a.com"`},
		{"an origin without a scheme, but with a port", "trusted_origins A.com:8443", `trusted_origins: "A.com:8443" has no scheme; write "https://a.com:8443"`},
		{"origins with a comma between", "trusted_origins https://a.com, https://b.com", `trusted_origins: "https://a.com," has a comma; write spaces between origins`},
		{"origins with a comma alone between", "trusted_origins https://a.com,https://b.com", `trusted_origins: "https://a.com,https://b.com" has a comma; write spaces between origins`},
		{"an origin twice", "trusted_origins https://a.com https://a.com", "trusted_origins: https://a.com is given twice"},
		{"an origin without a host", "trusted_origins https://", `trusted_origins: invalid origin "https://": host is required`},
		{"an origin with a port alone", "trusted_origins https://:8443", `trusted_origins: "https://:8443" has no host`},
		{"an origin with a path", "trusted_origins https://a.com/", `trusted_origins: invalid origin "https://a.com/": path, query, and fragment are not allowed`},
		{"an origin with an empty query", "trusted_origins https://a.com?", `trusted_origins: "https://a.com?" has a query or a fragment`},
		{"an origin with user information", "trusted_origins https://u:SECRET@a.com", "trusted_origins: an origin has no user information; write scheme://host[:port]"},
		{"an origin in capitals", "trusted_origins https://A.com", `trusted_origins: no browser sends "https://A.com"; write "https://a.com"`},
		{"an origin with its default port", "trusted_origins https://a.com:443", `trusted_origins: no browser sends "https://a.com:443"; write "https://a.com"`},
		{"an origin with an empty port", "trusted_origins https://a.com:", `trusted_origins: "https://a.com:" has an empty port`},
		{"an origin with a port out of range", "trusted_origins https://a.com:65536", `trusted_origins: "https://a.com:65536" has a port that no browser sends`},
		{"an origin with a port that begins with 0", "trusted_origins https://a.com:08443", `trusted_origins: "https://a.com:08443" has a port that no browser sends`},
		{"an origin with a bracket", "trusted_origins https://a]", `trusted_origins: "https://a]" has a host that no browser sends`},
		{"an origin with a name in brackets", "trusted_origins https://[a]", `trusted_origins: invalid origin "https://[a]"`},
		{"an origin in percent encoding", "trusted_origins https://b%C3%BCcher.example", `trusted_origins: "https://b%C3%BCcher.example" must be in punycode, not in percent encoding, as browsers send it`},
		{"an origin with a placeholder", "trusted_origins https://{env.APP}", `trusted_origins: "https://{env.APP}" has a placeholder`},
		{"an origin that is not in punycode", "trusted_origins https://bücher.example", `trusted_origins: "https://bücher.example" must be in punycode, as browsers send it`},
		{"rate_limit without a value", "rate_limit", "wrong argument count or unexpected line ending after 'rate_limit'"},
		{"rate_limit without a window", "rate_limit 10", "rate_limit: it takes a count and a window, or 'off', not just '10'"},
		{"rate_limit with too much", "rate_limit 10 1m a b", "wrong argument count or unexpected line ending after 'rate_limit'"},
		{"rate_limit off with more", "rate_limit off 1m", "rate_limit: 'off' is not a whole number"},
		{"rate_limit with a count that is no number", "rate_limit x 1m", "rate_limit: 'x' is not a whole number"},
		{"rate_limit with a count of zero", "rate_limit 0 1m", "rate_limit: the count 0 is out of range; it must be from 1 to 1000000"},
		{"rate_limit with a window that is no duration", "rate_limit 1 x", "rate_limit: 'x' is not a duration"},
		{"rate_limit with a window without a unit", "rate_limit 10 60", "rate_limit: '60' is not a duration; write its unit, as in 60s or 60m"},
		{"rate_limit with a window of zero", "rate_limit 1 0s", "rate_limit: the window 0s is out of range; it must be more than zero and at most 31 days, which are 744h"},
		{"rate_limit with an empty key", `rate_limit 1 1m ""`, "rate_limit: the key is empty"},
		{"rate_limit with a count too large", "rate_limit 1000001 1m", "rate_limit: the count 1000001 is out of range"},
		{"rate_limit with a window too long", "rate_limit 1 32d", "rate_limit: the window 768h0m0s is out of range"},
		{"rate_limit with a key that is the same for all", "rate_limit 1 1m everybody", `rate_limit: the key "everybody" has no placeholder, so it is the same for all clients; write site if that is meant`},
		{"rate_limit by what is never looked at", "rate_limit 1 1m {http.request.body}", "rate_limit: {http.request.body} cannot be used"},
		{"rate_limit twice with the same window", "rate_limit 1 1m\nrate_limit 2 60s", "rate_limit: there are two limits with the window 1m0s and the same key, at Caddyfile:5"},
		{"rate_limit off beside a limit", "rate_limit 1 1m\nrate_limit off", "rate_limit: it is off, and there is a limit, too, at Caddyfile:5"},
		{"rate_limit off twice", "rate_limit off\nrate_limit off", "rate_limit: 'off' is given twice, at Caddyfile:5"},
		{"limit_store without a name", "limit_store", "wrong argument count or unexpected line ending after 'limit_store'"},
		{"limit_store that is not there", "limit_store redis localhost:6379", "limit_store: this Caddy has no module http.xai_ephemeral_token.limit_store.redis; one for redis is in github.com/caddy-xai/caddy-xai-ephemeral-token/redis"},
		{"rate_limit with a placeholder in a placeholder", "rate_limit 1 1m {header.{header.A}}", "rate_limit: a brace is not part of a placeholder"},
		{"prefetch with too much", "prefetch 1 2", "wrong argument count or unexpected line ending after 'prefetch'"},
		{"prefetch that is no number", "prefetch many", "prefetch: 'many' is not a whole number"},
		{"prefetch that is switched on", "prefetch on", "prefetch: 'on' is not a whole number; write prefetch alone for 8 tokens, or how many"},
		{"prefetch that is negative", "prefetch -1", "prefetch: -1 is out of range; it must be from 0 to 1024"},
		{"prefetch of too many", "prefetch 1025", "prefetch: 1025 is out of range; it must be from 0 to 1024"},
		{"prefetch with an empty number", `prefetch ""`, "prefetch: '' is not a whole number"},
		{"prefetch with a block", "prefetch {\n}", "prefetch takes no block"},
		{"pass_thru with a value", "pass_thru off", "wrong argument count or unexpected line ending after 'pass_thru'"},
		{"transport without a name", "transport", "wrong argument count or unexpected line ending after 'transport'"},
		{"transport with two names", "transport http h2c", "wrong argument count or unexpected line ending after 'transport'"},
		{"transport that does not exist", "transport pigeon", "getting module named 'http.reverse_proxy.transport.pigeon'"},
		{"transport with a mistake in it", "transport http {\ndial_timeout soon\n}", "bad timeout value 'soon': time: invalid duration \"soon\", at Caddyfile:5"},
		{"a block where none belongs", "retries 1 {\n}", "retries takes no block"},
		{"an option given twice", "retries 1\nretries 1", "retries is given twice, at Caddyfile:5"},
		{"the key given in two places", "api_key b", "api_key is given twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			argument := ""
			if test.name == "the key given in two places" {
				argument = "SECRET"
			}
			config := "localhost\n\nxai_ephemeral_token /session " + argument + " {\n" + test.option + "\n}\n"
			_, err := caddytest.Adapt(config)
			if err == nil {
				t.Fatal("no error")
			}
			where := ", at Caddyfile:4"
			if strings.Contains(test.want, ", at ") {
				where = ""
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), where) {
				t.Errorf("got error %q, want %q%s", err, test.want, where)
			}
			if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error %q tells a secret", err)
			}
		})
	}
}

func TestCaddyfileBadKeyAsArgument(t *testing.T) {
	_, err := caddytest.Adapt("localhost\nxai_ephemeral_token /session {file.{env.SECRET}/key}\n")
	if err == nil || !strings.Contains(err.Error(), "api_key: a brace is not part of a placeholder") ||
		!strings.Contains(err.Error(), ", at Caddyfile:2") || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("got error %v", err)
	}
}

func TestCaddyfileStrayWord(t *testing.T) {
	_, err := caddytest.Adapt("localhost\nxai_ephemeral_token /session SECRET SECRET {\n\tretries 1\n}\n")
	if err == nil || !strings.Contains(err.Error(), "after 'xai_ephemeral_token', at Caddyfile:") || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("got error %v", err)
	}
}

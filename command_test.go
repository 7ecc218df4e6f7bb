// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

func TestCommandMints(t *testing.T) {
	up := caddytest.NewUpstream(t)
	dir := t.TempDir()
	caddytest.WriteFile(t, dir+"/key", caddytest.Key+"\n")
	t.Setenv("XAI_API_KEY", caddytest.Key)
	for name, args := range map[string][]string{
		"with the key in the environment": {"--endpoint", up.Endpoint()},
		"with the key in a file":          {"--endpoint", up.Endpoint(), "--api-key", "{file." + dir + "/key}"},
		"with a key":                      {"--endpoint", up.Endpoint(), "--api-key", caddytest.Key},
		"with another lifetime":           {"--endpoint", up.Endpoint(), "--expires-after", "1h"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := caddytest.RunMintCommand(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			var token caddytest.Token
			if err := json.Unmarshal([]byte(stdout), &token); err != nil || !strings.HasPrefix(token.Value, "xai-realtime-client-secret-") || !strings.HasSuffix(stdout, "}\n") {
				t.Errorf("printed %q", stdout)
			}
			wantLifetime := 5 * time.Minute
			if name == "with another lifetime" {
				wantLifetime = time.Hour
			}
			if left := time.Until(time.Unix(token.ExpiresAt, 0)); left < wantLifetime-time.Minute || left > wantLifetime+time.Minute {
				t.Errorf("the token lives %s, want %s", left, wantLifetime)
			}
			if warned := strings.HasPrefix(stderr, "Warning: "); warned != (name == "with a key") || strings.Contains(stderr, caddytest.Key) {
				t.Errorf("said %q", stderr)
			}
		})
	}
}

func TestCommandExplainsFailures(t *testing.T) {
	up := caddytest.NewUpstream(t)
	up.APIKey = ""
	t.Setenv("XAI_API_KEY", caddytest.Key)
	status := sandbox.Status
	tests := []struct {
		name  string
		fault sandbox.Fault
		want  string
	}{
		{"a bad key", status(401), "The key is wrong or was revoked."},
		{"a blocked key", status(403), "it has no access to voice"},
		{"a bad request", status(400), "xAI does not like what it was asked."},
		{"a wrong path", status(404), "There is nothing at this URL."},
		{"a redirect", status(302, "Location", "/"), "xAI's API does not redirect."},
		{"a limit", status(429, "Retry-After", "60"), "xAI asks to wait for 1m0s."},
		{"a failure", status(501), "xAI itself has a problem."},
		{"another service", sandbox.Answer(http.StatusOK, "<html>"), "That was not xAI's API."},
		{"an echo of the key", sandbox.Answer(401, `{"error":"no `+caddytest.Key+`"}`), "xAI answered 401 Unauthorized: no [key]\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			up.Script(test.fault)
			stdout, stderr, err := caddytest.RunMintCommand(t, "--endpoint", up.Endpoint())
			if err == nil || stdout != "" {
				t.Fatalf("printed %q", stdout)
			}
			if !strings.Contains(stderr, test.want) || !strings.HasPrefix(stderr, "Error: xAI ") {
				t.Errorf("said %q", stderr)
			}
			if strings.Contains(stderr, caddytest.Key) {
				t.Error("the key is printed")
			}
		})
	}
	t.Run("no network", func(t *testing.T) {
		up.ShutDown()
		_, stderr, err := caddytest.RunMintCommand(t, "--endpoint", up.Endpoint())
		if err == nil || !strings.Contains(stderr, "connection refused") || !strings.Contains(stderr, "This machine cannot talk to the endpoint.") {
			t.Errorf("said %q", stderr)
		}
	})
}

func TestCommandRefusesBadArguments(t *testing.T) {
	t.Setenv("XAI_API_KEY", "")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no key", nil, "--api-key: {env.XAI_API_KEY} is empty"},
		{"an empty key", []string{"--api-key", ""}, "--api-key is empty"},
		{"a placeholder of requests", []string{"--api-key", "{http.request.host}"}, "--api-key: {http.request.host} is empty outside of a request"},
		{"a key that no header can carry", []string{"--api-key", "SECRET\n1"}, "--api-key: REDACTED has a line break in it"},
		{"a key without its flag", []string{"SECRET"}, "takes flags only; the key goes into --api-key"},
		{"a lifetime that is none", []string{"--expires-after", "soon"}, "--expires-after: 'soon' is not a duration"},
		{"a lifetime of zero", []string{"--expires-after", "0"}, "--expires-after: '0' is not a duration from 1s to 1h"},
		{"a lifetime that is too long", []string{"--api-key", "SECRET", "--expires-after", "2h"}, "--expires-after: 2h0m0s is out of range"},
		{"an endpoint that is none", []string{"--api-key", "SECRET", "--endpoint", "api.x.ai"}, "--endpoint: not an absolute http or https URL"},
		{"an unknown flag", []string{"--session", "{}"}, "unknown flag: --session"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, err := caddytest.RunMintCommand(t, test.args...)
			if err == nil || stdout != "" || !strings.Contains(stderr, test.want) {
				t.Errorf("said %q, want %q", stderr, test.want)
			}
			if strings.Contains(stderr, "SECRET") {
				t.Errorf("%q tells a secret", stderr)
			}
		})
	}
}

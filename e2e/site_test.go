// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	_ "github.com/caddy-xai/caddy-xai-ephemeral-token"
	_ "github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

const (
	quickstart = "../examples/quickstart/Caddyfile"
	tokens     = "xai_ephemeral_token /session {" // where a test adds options of the plugin

	// What the quickstart has, for examples that leave it to whoever runs them.
	globalOptions = "{\nadmin off\npersist_config off\ndefault_bind 127.0.0.1\nlog {\n}\n}\n"
)

// serve runs the quickstart's Caddyfile in the Caddy of this process until the test
// ends, with free ports in place of its own. The edits are pairs of a text that is
// in the file and what a test has there instead, in which :8080 and :8081 stand for
// the ports, too.
func serve(t *testing.T, edits ...string) (url string) {
	t.Helper()
	if chromium == nil {
		t.Skip("no Chromium")
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	for attempt := 1; ; attempt++ {
		ports := freePorts(t, 2)
		err := load(t, quickstart, append(slices.Clone(edits), ":8080", ":"+ports[0], ":8081", ":"+ports[1])...)
		if err == nil {
			return "http://localhost:" + ports[0]
		}
		// Somebody else may have taken a port since it was found free.
		if !errors.Is(err, syscall.EADDRINUSE) || attempt == 5 {
			t.Fatalf("loading config: %v", err)
		}
	}
}

// load replaces the running config by a Caddyfile, with the edits one by one.
func load(t *testing.T, file string, edits ...string) error {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config := string(content)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(config, edits[i]) {
			t.Fatalf("%s has no %q", file, edits[i])
		}
		config = strings.ReplaceAll(config, edits[i], edits[i+1])
	}
	config = strings.ReplaceAll(config, "root examples", "root ../examples")
	config = strings.Replace(config, "log {\n", "log {\noutput discard\n", 1)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), map[string]any{"filename": file})
	if err != nil {
		t.Fatalf("%v in\n%s", err, config)
	}
	return caddy.Load(adapted, true)
}

// instead returns the edit that puts a handler in the place of the sandbox.
func instead(t *testing.T, handler http.Handler) []string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return []string{"\txai_sandbox\n", "\treverse_proxy " + server.Listener.Addr().String() + "\n"}
}

// mustBeStrict fails unless the site allows its page no more than it needs: no inline
// scripts, no other place but the one of the conversation, no device but the microphone.
func mustBeStrict(p *page, realtime string) {
	p.t.Helper()
	p.js(`fetch("/").then(({ headers }) => { window.policies = headers; }) && ""`)
	p.wait(`window.policies`)
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' " + realtime +
			"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
		"Permissions-Policy":     "microphone=(self), camera=(), geolocation=()",
		"Referrer-Policy":        "no-referrer",
		"X-Content-Type-Options": "nosniff",
	} {
		if got := p.js(`policies.get(` + quote(name) + `)`); got != want {
			p.t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
}

func freePorts(t *testing.T, count int) []string {
	t.Helper()
	var ports []string
	for range count {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() //nolint:gocritic // all at the end, or one could be found twice
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
	}
	return ports
}

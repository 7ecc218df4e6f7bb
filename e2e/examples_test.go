// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"

	"github.com/caddyserver/caddy/v2"
)

// hosts are the names under which people open a page on their own machine.
var hosts = []string{"localhost", "127.0.0.1"}

// serveExample serves an example as it is on the disk, with the sandbox in place of
// xAI, until the test ends.
func serveExample(t *testing.T, file string, edits ...string) {
	t.Helper()
	if chromium == nil {
		t.Skip("no Chromium")
	}
	xai := httptest.NewServer(new(sandbox.Server))
	t.Cleanup(xai.Close)
	t.Setenv("XAI_URL", xai.URL)
	t.Setenv("XAI_API_KEY", "some-key")
	t.Setenv("REALTIME_URL", strings.Replace(xai.URL, "http", "ws", 1)+"/v1/realtime")
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	const begin = "# SPDX-FileCopyrightText"
	if err := load(t, file, append([]string{begin, globalOptions + begin}, edits...)...); err != nil {
		t.Fatal(err)
	}
}

func TestQuickstartByEachName(t *testing.T) {
	url := serve(t)
	for _, host := range hosts {
		t.Run(host, func(t *testing.T) {
			p := open(t, strings.Replace(url, "localhost", host, 1), view{})
			p.converse("Hello")
			p.mustBeClean()
		})
	}
}

func TestCrossOrigin(t *testing.T) {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Remote-User", "alice")
	}))
	t.Cleanup(provider.Close)
	ports := freePorts(t, 2)
	t.Setenv("SITE_ROOT", "../examples/cross-origin/app")
	t.Setenv("API_ORIGIN", "http://localhost:"+ports[1])
	t.Setenv("AUTH_ADDRESS", provider.Listener.Addr().String())
	serveExample(t, "../examples/cross-origin/Caddyfile", ":8000", ":"+ports[0])
	for _, host := range hosts {
		t.Run(host, func(t *testing.T) {
			p := visit(t, "http://"+host+":"+ports[0], view{})
			p.wait(`document.readyState === "complete"`)
			p.click("ask")
			p.waitText("status", "Got a token, good until")
			p.mustBeClean()
		})
	}
}

func TestServerRendered(t *testing.T) {
	port := freePorts(t, 1)[0]
	t.Setenv("SITE_ROOT", "../examples/server-rendered/site")
	serveExample(t, "../examples/server-rendered/Caddyfile", ":8000", ":"+port)
	for _, host := range hosts {
		t.Run(host, func(t *testing.T) {
			p := visit(t, "http://"+host+":"+port, view{})
			p.waitText("status", "Connected.")
			p.mustBeClean()
		})
	}
}

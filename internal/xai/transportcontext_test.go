// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// notingTransport asks for what Caddy's transport asks for, and leaves notes there.
type notingTransport struct {
	http.RoundTripper

	t     *testing.T
	calls int
}

func (n *notingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	n.calls++
	replacer := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if found, ok := replacer.Get("note"); ok || caddyhttp.GetVar(r.Context(), "note") != nil {
		n.t.Errorf("call %d finds the notes of another: %v", n.calls, found)
	}
	if got := replacer.ReplaceAll("{env.TEST_SERVER_NAME}", ""); got != "xai.example.com" {
		n.t.Errorf("a placeholder is expanded to %q", got)
	}
	replacer.Set("note", n.calls)
	caddyhttp.SetVar(r.Context(), "note", n.calls)
	if caddyhttp.GetVar(r.Context(), "note") != n.calls || r.Context().Value(caddy.ReplacerCtxKey) != replacer {
		n.t.Errorf("call %d loses its own notes", n.calls)
	}
	return n.RoundTripper.RoundTrip(r)
}

func TestTransportContext(t *testing.T) {
	t.Setenv("TEST_SERVER_NAME", "xai.example.com")
	inFakeTime(t, func(t *testing.T, c *Client, xai *memoryUpstream) {
		transport := &notingTransport{RoundTripper: xai, t: t}
		c.exchange = newExchange(&c.config, transport)
		xai.Script(sandbox.Status(http.StatusServiceUnavailable))
		want(t, c, testKey, nil)
		if transport.calls != 2 {
			t.Errorf("%d calls, want 2", transport.calls)
		}
	})
}

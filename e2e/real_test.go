// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http/httptest"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"

	"github.com/caddyserver/caddy/v2"
)

// apiXAI is what the browser finds at wss://api.x.ai.
var apiXAI = new(sandbox.Server)

// TestForReal serves the page as examples/voice/Caddyfile does. But for where tokens
// come from and how the browser finds api.x.ai, all is as it is for visitors: the
// policy, the settings and the address of the conversation.
func TestForReal(t *testing.T) {
	if chromium == nil {
		t.Skip("no Chromium")
	}
	minting := httptest.NewServer(apiXAI)
	t.Cleanup(minting.Close)
	url := "http://localhost:" + freePorts(t, 1)[0]
	t.Setenv("VOICE_SITE", url)
	t.Setenv("XAI_API_KEY", "some-key")
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	const site = "{$VOICE_SITE:localhost} {"
	if err := load(t, "../examples/voice/Caddyfile",
		site, globalOptions+site,
		"xai_ephemeral_token /session", "xai_ephemeral_token /session {\nendpoint "+minting.URL+"/v1/realtime/client_secrets\n}",
	); err != nil {
		t.Fatal(err)
	}
	p := open(t, url, view{})
	p.waitText("place", "api.x.ai")
	mustBeStrict(p, "wss://api.x.ai")
	p.click("talk")
	p.waitAnswer("I heard you speak for 1.")
	p.click("line")
	p.say("Is this real?")
	p.waitAnswer("I heard “Is this real?”.")
	p.mustBeClean()
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
	"github.com/chromedp/cdproto/browser"
	"github.com/coder/websocket"

	"github.com/caddyserver/caddy/v2"
)

func TestNoToken(t *testing.T) {
	site := "header {" // the first directive of the page's site
	for name, test := range map[string]struct {
		edits []string
		fault sandbox.Fault
		words []string
	}{
		"not signed in":      {[]string{site, "error /session 401\n" + site}, nil, []string{"You need to sign in", "then try again"}},
		"a redirect":         {[]string{site, "redir /session /login\n" + site}, nil, []string{"You need to sign in"}},
		"not allowed":        {[]string{site, "error /session 403\n" + site}, nil, []string{"You are not allowed", "ask whoever runs this site", "trusted_origins"}},
		"no handler":         {[]string{tokens, "xai_ephemeral_token /elsewhere {"}, nil, []string{"Nothing hands out tokens here", "xai_ephemeral_token /session"}},
		"no key":             {[]string{"api_key {vars.api_key}", "api_key {vars.none}"}, nil, []string{"not set up yet", "XAI_API_KEY"}},
		"a bad key":          {nil, sandbox.Status(http.StatusUnauthorized), []string{"The voice service is not available", "Caddy’s log"}},
		"xAI limits":         {nil, sandbox.Status(http.StatusTooManyRequests, "Retry-After", "40"), []string{"The voice service is busy", "Wait 40 seconds, then try again."}},
		"xAI hangs":          {[]string{tokens, tokens + "\ntimeout 1s\nretries 0"}, sandbox.Hang(), []string{"did not answer in time"}},
		"an unusable answer": {[]string{tokens, "respond /session `{}`\n" + tokens, "xai_ephemeral_token /session", "xai_ephemeral_token /elsewhere"}, nil, []string{"no usable token"}},
		"a dead upstream":    {[]string{"endpoint http://localhost:8081", "retries 0\nendpoint http://127.0.0.1:1"}, nil, []string{"The voice service is not available", "Try again in a moment"}},
	} {
		t.Run(name, func(t *testing.T) {
			xai := &upstream{t: t}
			xai.Script(test.fault, test.fault) // the page asks before the click, and then again
			p := open(t, serve(t, append(test.edits, instead(t, xai)...)...), view{})
			p.click("talk")
			p.waitPhase("failed")
			p.mustExplain(test.words...)
			p.wait(`document.activeElement.id === "talk"`)
		})
	}
}

func TestRateLimit(t *testing.T) {
	p := open(t, serve(t, tokens, tokens+"\nrate_limit 1 1m"), view{})
	p.converse("Remember this.")
	p.click("type")
	p.waitPhase("failed")
	p.waitAnswer("I heard “Remember this.”.") // what failed took nothing away
	p.mustExplain("Too many conversations in a short time", "Wait ")
	p.waitText("talk", "Try again in 5")
	p.click("talk") // too early
	if got := p.js(`document.body.dataset.phase + " " + document.getElementById("talk").ariaDisabled`); got != "failed true" {
		t.Errorf("the wait was not kept: %s", got)
	}
}

func TestNewConversationStartsEmpty(t *testing.T) {
	p := open(t, serve(t), view{})
	p.converse("Remember this.")
	p.click("type")
	p.waitPhase("talking")
	if got := p.js(`document.querySelectorAll(".agent, .user").length + ""`); got != "0" {
		t.Errorf("%s lines are left", got)
	}
}

// TestTokenExpiry is about what expiry bounds: the time to connect, and not the conversation.
func TestTokenExpiry(t *testing.T) {
	t.Run("of a token that has opened a session", func(t *testing.T) {
		p := open(t, serve(t, tokens, tokens+"\nexpires_after 1s"), view{})
		p.click("type")
		p.waitPhase("talking")
		p.waitText("connection", "Open for 0:02")
		p.say("Still there?")
		p.waitAnswer("I heard “Still there?”.")
		p.waitText("token", "Used")
		p.mustBeClean()
	})
	t.Run("on its way to the page", func(t *testing.T) {
		p := open(t, serve(t, tokens, "respond /session `{\"value\": \"late\", \"expires_at\": 1790000000}`\n"+tokens,
			"xai_ephemeral_token /session", "xai_ephemeral_token /elsewhere"), view{})
		p.click("type")
		p.waitPhase("failed")
		p.mustExplain("The token expired before it could open a conversation", "Try again.", "expires_after")
		p.waitText("token", "Not used")
	})
	t.Run("while the connection opens", func(t *testing.T) {
		xai := new(sandbox.Server)
		p := open(t, serve(t, append(instead(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				<-time.After(1500 * time.Millisecond) // a slow network
			}
			xai.ServeHTTP(w, r)
		})), tokens, tokens+"\nexpires_after 1s")...), view{})
		p.click("type")
		p.waitPhase("failed")
		p.mustExplain("The token expired before it could open a conversation")
		p.waitText("token", "Not used")
	})
}

// elsewhere are the edits that put the endpoint on another origin than the page.
var elsewhere = []string{
	"connect-src 'self'", "connect-src 'self' http://127.0.0.1:8080",
	`{"realtime"`, `{"session": "http://127.0.0.1:8080/session", "realtime"`,
}

func TestAnotherOrigin(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		p := open(t, serve(t, elsewhere...), view{})
		p.click("type")
		p.waitPhase("failed")
		p.mustExplain("The server cannot be reached", "add http://localhost:", "trusted_origins")
	})
	t.Run("trusted", func(t *testing.T) {
		p := open(t, serve(t, append(elsewhere, tokens, tokens+"\ntrusted_origins http://localhost:8080")...), view{})
		p.click("type")
		p.waitPhase("talking")
		p.mustBeClean()
	})
}

func TestConnectionThatNeverStarts(t *testing.T) {
	t.Run("twice", func(t *testing.T) {
		xai := &upstream{t: t, sessions: []session{closes, hangs}}
		p := open(t, serve(t, instead(t, xai)...), view{})
		p.click("type")
		p.waitText("connection", "attempt 2")
		p.waitPhase("talking")
		xai.mustHaveTried(3)
		p.mustBeClean()
	})
	t.Run("three times", func(t *testing.T) {
		xai := &upstream{t: t, sessions: []session{closes, closes, closes}}
		p := open(t, serve(t, instead(t, xai)...), view{})
		p.click("type")
		p.waitPhase("failed")
		p.mustExplain("The conversation did not start", "3 times in a row", "“not now”, code 1013")
		xai.mustHaveTried(3)
	})
}

func TestConnectionThatFails(t *testing.T) {
	t.Run("a dead service", func(t *testing.T) {
		p := open(t, serve(t, "\txai_sandbox\n", "\terror /v1/realtime 503\n\txai_sandbox\n"), view{})
		p.click("talk")
		p.waitPhase("failed")
		p.mustExplain("The voice service cannot be reached", "Check your network", "No connection to localhost:")
		p.waitText("token", "Not used")
	})
	t.Run("forbidden by the policy", func(t *testing.T) {
		p := open(t, serve(t, " ws://localhost:8081;", ";"), view{})
		p.click("type")
		p.waitPhase("failed")
		p.mustExplain("This site does not allow the connection", "to connect-src")
	})
	t.Run("refused with a reason", func(t *testing.T) {
		xai := &upstream{t: t, sessions: []session{refuses}}
		p := open(t, serve(t, instead(t, xai)...), view{})
		p.click("type")
		p.waitPhase("failed")
		p.mustExplain("The voice service refused the conversation", "No more sessions (team_limit).")
		xai.mustHaveTried(1)
	})
	t.Run("cancelled", func(t *testing.T) {
		opened := make(chan struct{})
		xai := &upstream{t: t, sessions: []session{func(ctx context.Context, conn *websocket.Conn) {
			close(opened)
			hangs(ctx, conn)
		}}}
		p := open(t, serve(t, instead(t, xai)...), view{})
		p.click("type")
		select {
		case <-opened:
		case <-time.After(patience):
			t.Fatal("no connection was opened")
		}
		p.click("end")
		p.waitPhase("ready")
		p.wait(`document.activeElement.id === "talk"`)
		xai.mustHaveTried(1)
	})
}

func TestConversationThatBreaksOff(t *testing.T) {
	t.Run("without a goodbye", func(t *testing.T) {
		xai := &upstream{t: t, sessions: []session{sends(false)}}
		p := open(t, serve(t, instead(t, xai)...), view{})
		p.click("talk")
		p.waitPhase("failed")
		p.mustExplain("The connection was lost", "start again")
		p.waitText("connection", "Lost")
		p.click("type") // which works, with a new token
		p.waitPhase("talking")
		xai.mustHaveTried(2)
	})
	t.Run("with a reason", func(t *testing.T) {
		url := serve(t)
		p := open(t, url, view{})
		p.click("type")
		p.waitPhase("talking")
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		p.waitPhase("failed")
		p.mustExplain("The voice service ended the conversation", "“the sandbox is shutting down”")
	})
}

func TestErrorEvents(t *testing.T) {
	xai := &upstream{t: t, sessions: []session{sends(true,
		`{"type": "ping"}`, `{"type": "an.event.of.tomorrow"}`, `no JSON`,
		`{"type": "error", "error": {"code": "rate_limit", "message": "slow down."}}`,
		`{"type": "response.created"}`,
		`{"type": "response.output_audio_transcript.delta", "item_id": "a", "delta": "I was about "}`,
		`{"type": "response.output_audio_transcript.delta", "item_id": "a", "delta": "to say"}`,
		`{"type": "response.done", "response": {"status": "failed", "status_details": {"error": {"message": "No model is free"}}}}`)}}
	p := open(t, serve(t, instead(t, xai)...), view{before: `
		addEventListener("DOMContentLoaded", () => {
			window.notices = [];
			new MutationObserver(() => notices.push(document.getElementById("notice").textContent))
				.observe(document.getElementById("notice"), { childList: true });
		});`})
	p.click("type")
	p.waitPhase("talking")
	p.wait(`notices.join().includes("Slow down (rate_limit). You can go on")`)
	p.mustExplain("The agent could not answer", "No model is free. You can go on.")
	p.waitAnswer("I was about to say") // the deltas are all there is
	p.waitPhase("talking")
	p.mustBeClean()
}

func TestMicrophoneThatFails(t *testing.T) {
	refuse := func(name string) string {
		return `navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", "` + name + `"); };`
	}
	for name, test := range map[string]struct {
		view  view
		words []string
	}{
		"permission denied": {view{microphone: browser.PermissionSettingDenied}, []string{"The page may not use the microphone", "allow the microphone in the browser"}},
		"no microphone":     {view{before: refuse("NotFoundError")}, []string{"There is no microphone", "connect a microphone"}},
		"in use":            {view{before: refuse("NotReadableError")}, []string{"The microphone cannot be used", "Another program"}},
		"an old browser":    {view{before: `delete window.AudioWorkletNode;`}, []string{"This browser gives the page no microphone"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, serve(t), test.view)
			p.click("talk")
			p.waitPhase("talking")
			p.mustExplain(test.words...)
			p.waitText("microphone-state", "Not available")
			p.click("line")
			p.say("Can you read me?")
			p.waitAnswer("I heard “Can you read me?”.")
			p.wait(`document.getElementById("microphone").ariaPressed === "false"`)
			p.mustBeClean()
		})
	}
}

// TestInsecurePage opens the page as people do who try it from another machine.
func TestInsecurePage(t *testing.T) {
	url := serve(t, "http://127.0.0.1:8080 {", "http://"+insecureHost+":8080 {")
	p := open(t, strings.Replace(url, "localhost", insecureHost, 1), view{})
	p.mustExplain("This page gets no microphone over http", "Open it over https to talk.", "http://localhost will do")
	p.click("talk")
	p.waitPhase("talking")
	p.mustExplain("Open it over https to talk.")
	p.waitText("microphone-state", "Not available")
	p.click("line")
	p.say("Can I type?")
	p.waitAnswer("I heard “Can I type?”.")
	p.mustBeClean()
}

// TestNoOutputForSound is about Firefox, whose AudioContext waits for an output until
// there is one.
func TestNoOutputForSound(t *testing.T) {
	p := open(t, serve(t), view{before: listening + `
		AudioContext.prototype.resume = () => new Promise(() => {});
		Object.defineProperty(AudioContext.prototype, "state", { get: () => "suspended" });
		Object.defineProperty(AudioContext.prototype, "currentTime", { get: () => 0 });`})
	p.click("talk")
	p.waitText("microphone-state", "Please allow it")
	p.waitPhase("talking")
	p.mustExplain("There is no output for sound", "Connect loudspeakers or headphones", "go on by typing")
	p.waitText("microphone-state", "Not available")
	p.click("line")
	p.say("Can you hear me?")
	p.waitAnswer("I heard “Can you hear me?”. ")
	p.waitYourTurn()
	if got := p.js(`heard.played`); got != "0" {
		t.Errorf("%s pieces of sound wait for an output", got)
	}
	p.mustBeClean()
}

func TestMicrophoneIsLost(t *testing.T) {
	p := open(t, serve(t), view{before: listening + `
		const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
		navigator.mediaDevices.getUserMedia = async (constraints) => {
			window.constraints = constraints;
			window.stream = await getUserMedia(constraints);
			return stream;
		};`})
	p.click("talk")
	p.waitText("microphone-state", "On")
	if got := p.js(`constraints.audio.echoCancellation`); got != "true" {
		t.Error("without echo cancellation the agent hears itself")
	}
	// What a browser does when the microphone is pulled out.
	p.js(`stream.getTracks().forEach((track) => { track.stop(); track.dispatchEvent(new Event("ended")); })`)
	p.mustExplain("The microphone is gone", "Go on by typing")
	p.waitText("microphone-state", "Gone")
	p.wait(`heard.longest === 1`) // the silence that ends a sentence
	p.click("line")
	p.say("Never mind.")
	p.waitAnswer("I heard “Never mind.”.")
	// And what it does when a microphone is plugged in.
	p.js(`navigator.mediaDevices.dispatchEvent(new Event("devicechange"))`)
	p.waitText("microphone-state", "Ready to turn on")
	p.click("microphone")
	p.waitText("microphone-state", "On")
	p.click("end")
	p.wait(`stream.getTracks().every(({ readyState }) => readyState === "ended")`) // nobody listens after the end
	p.mustBeClean()
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestTyping(t *testing.T) {
	p := open(t, serve(t), view{before: listening})
	p.js(`fetch("settings.json").then((answer) => answer.json()).then(({ realtime }) => { window.conversationAt = new URL(realtime).origin; }) && ""`)
	p.wait(`window.conversationAt`)
	mustBeStrict(p, p.js(`conversationAt`))
	p.click("type")
	p.waitPhase("talking")
	p.say("How are you?")
	p.waitAnswer("I heard “How are you?”.")
	p.say("<b>And</b> now?") // interrupts, and is text
	p.waitAnswer("I heard “<b>And</b> now?”.")
	if got := p.js(`document.querySelectorAll(".agent.interrupted").length`); got != "1" {
		t.Errorf("%s lines of the agent are marked as interrupted, want 1", got)
	}
	if got := p.js(`[...document.querySelectorAll(".user p")].map((line) => line.textContent).join("|")`); got != "How are you?|<b>And</b> now?" {
		t.Errorf("the transcript has %q", got)
	}
	p.waitText("microphone-state", "Off")
	p.wait(`document.getElementById("token").textContent === "Used"`)
	p.waitText("announcer", "Agent: I heard “<b>And</b> now?”.") // a screen reader's only word of it
	p.click("end")
	p.waitPhase("ready")
	p.wait(`heard.socket.readyState >= WebSocket.CLOSING`) // an open session costs money
	p.wait(`document.activeElement.id === "talk"`)
	p.mustBeClean()
}

// TestTypingStarts types before there is a conversation.
func TestTypingStarts(t *testing.T) {
	t.Run("a conversation", func(t *testing.T) {
		p := open(t, serve(t), view{})
		p.click("line")
		p.say("Are you there?")
		p.waitAnswer("I heard “Are you there?”.")
		p.say("And now?")
		p.waitAnswer("I heard “And now?”.")
		p.waitText("microphone-state", "Off")
		p.mustBeClean()
	})
	t.Run("with a message that is sent as soon as it can be", func(t *testing.T) {
		xai := &upstream{t: t, sessions: []session{closes}} // the first attempt takes a while
		p := open(t, serve(t, instead(t, xai)...), view{})
		p.click("talk")
		p.click("line")
		p.say("Too early?")
		p.waitAnswer("I heard “Too early?”.")
		p.wait(`document.getElementById("line").value === ""`)
		p.mustBeClean()
	})
	t.Run("and keeps the message if that fails", func(t *testing.T) {
		p := open(t, serve(t, tokens, tokens+"\nrate_limit 1 1m"), view{})
		p.converse("Hello")
		p.click("line")
		p.say("Not again")
		p.waitPhase("failed")
		p.say("") // too early: the server asked for a pause
		if got := p.js(`document.body.dataset.phase + ": " + document.getElementById("line").value`); got != "failed: Not again" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("nothing without a message", func(t *testing.T) {
		p := open(t, serve(t), view{})
		p.click("line")
		p.say(" ")
		if got := p.js(`document.body.dataset.phase`); got != "ready" {
			t.Errorf("the page is %s", got)
		}
	})
}

// TestLeavingThePage is about the back button: browsers bring a page back as it was,
// but for its connections. Chromium does so if the microphone was never on, and the
// page between is of another site.
func TestLeavingThePage(t *testing.T) {
	url := serve(t)
	p := open(t, url, view{before: listening})
	p.click("type")
	p.waitPhase("talking")
	p.check(chromedp.Do(p.ctx, chromedp.Navigate(strings.Replace(url, "localhost", "127.0.0.1", 1))))
	p.wait(`location.hostname === "127.0.0.1"`)
	p.js(`history.back()`)
	p.wait(`location.hostname === "localhost"`)
	if got := p.js(`Boolean(window.heard?.socket)`); got != "true" {
		t.Fatal("it is another page")
	}
	p.waitText("state", "Ended")
	p.waitText("detail", "After 0:0")
	p.waitText("connection", "Closed")
	if got := p.js(`document.getElementById("notice").textContent + heard.socket.readyState`); got != "3" {
		t.Errorf("got %s, want no notice, and a socket that is closed", got)
	}
	p.js(`document.getElementById("type").click()`) // a click of chromedp's own would not find the page again
	p.waitPhase("talking")
	p.mustBeClean()
}

// listening counts what the page makes of sound.
const listening = `
	window.heard = { sent: 0, longest: 0, rates: new Set(), played: 0, stopped: 0 };
	const send = WebSocket.prototype.send;
	WebSocket.prototype.send = function (data) {
		heard.socket = this;
		const event = JSON.parse(data);
		if (event.type === "session.update") heard.setup = event.session;
		if (event.type === "input_audio_buffer.append") {
			heard.sent++;
			heard.longest = Math.max(heard.longest, atob(event.audio).length / 2 / 24000); // in seconds
		}
		send.call(this, data);
	};
	const createGain = AudioContext.prototype.createGain;
	AudioContext.prototype.createGain = function () {
		return heard.volume = createGain.call(this);
	};
	for (const [name, count] of [["start", "played"], ["stop", "stopped"]]) {
		const method = AudioBufferSourceNode.prototype[name];
		AudioBufferSourceNode.prototype[name] = function (...args) {
			heard[count]++;
			heard.rates.add(this.context.sampleRate);
			method.apply(this, args);
		};
	}`

func TestTalking(t *testing.T) {
	p := open(t, serve(t), view{before: listening})
	p.click("talk")
	p.waitPhase("talking")
	p.waitText("microphone-state", "On")
	p.waitText("state", "Listening")
	p.wait(`document.getElementById("level").ariaValueNow > 20`)
	const middleBar = `document.querySelector("#disc i:nth-child(3)").style.getPropertyValue("--level")`
	p.wait(middleBar + ` > 0.2`)
	p.waitText("state", "Speaking")
	p.wait(middleBar + ` > 0.2 && document.getElementById("state").textContent === "Speaking"`)
	p.waitAnswer("I heard you speak for 1.")

	// Barge-in: the second time that the microphone hears somebody.
	p.wait(`document.querySelector(".agent.interrupted")`)
	p.wait(`heard.stopped > 0`)
	p.waitText("state", "Listening")

	p.waitYourTurn()
	lines := p.js(`[...document.querySelectorAll(".transcript p")].map((line) => line.textContent).join("\n")`)
	if strings.Count(lines, "(I spoke for 1.") != 2 || strings.Count(lines, "\n") != 3 || strings.Contains(lines, "…") {
		t.Errorf("each side spoke twice, and the transcript has:\n%s", lines)
	}
	if got := p.js(`[...heard.rates].join() + " " + heard.setup.turn_detection.type + " " + heard.setup.audio.input.format.rate`); got != "24000 server_vad 24000" {
		t.Errorf("the session was set up as %s", got)
	}
	p.mustBeClean()
}

// TestBargeInByEvents is about what is still on its way when the user begins to speak:
// the rest of the answer, whose sound must not be played.
func TestBargeInByEvents(t *testing.T) {
	delta := `{"type": "response.output_audio.delta", "item_id": "a", "delta": "` + strings.Repeat("AAAA", 8000) + `"}`
	xai := &upstream{t: t, sessions: []session{sends(true,
		`{"type": "response.created"}`,
		`{"type": "response.output_audio_transcript.delta", "item_id": "a", "delta": "Once upon"}`, delta,
		`{"type": "input_audio_buffer.speech_started", "item_id": "b"}`, delta,
		`{"type": "response.output_audio_transcript.delta", "item_id": "a", "delta": " a time"}`)}}
	p := open(t, serve(t, instead(t, xai)...), view{before: listening})
	p.click("type")
	p.waitAnswer("Once upon a time")
	p.wait(`document.querySelector(".agent.interrupted")`)
	p.waitText("state", "Listening")
	if got := p.js(`heard.played + " played, " + heard.stopped + " stopped"`); got != "1 played, 1 stopped" {
		t.Errorf("of two pieces of sound, one before the interruption: %s", got)
	}
	p.mustBeClean()
}

func TestMuting(t *testing.T) {
	p := open(t, serve(t), view{before: listening})
	p.click("talk")
	p.waitText("microphone-state", "On")
	p.click("microphone")
	p.waitText("microphone-state", "Muted")
	p.wait(`document.getElementById("microphone").ariaPressed === "false"`)
	sent := p.js(`heard.sent`)
	p.wait(`heard.sent > ` + sent) // silence, so that the server notices that a sentence is over
	p.click("microphone")
	p.waitText("microphone-state", "On")
	p.click("sound")
	p.wait(`document.getElementById("sound").ariaPressed === "false" && heard.volume.gain.value === 0`)
	p.click("sound")
	p.wait(`heard.volume.gain.value === 1`)
	p.mustBeClean()
}

// TestTranscriptStaysAtItsEnd is about a phone's keyboard, which leaves the page less
// room: the newest line stays in sight, unless the person reads an older one.
func TestTranscriptStaysAtItsEnd(t *testing.T) {
	tall, low := view{width: 390, height: 844}, view{width: 390, height: 500}
	p := open(t, serve(t), tall)
	p.click("type")
	p.waitPhase("talking")
	for range 2 {
		p.js(`document.getElementById("line").value = "This is a long message. ".repeat(30)`) // faster than to type it
		p.say("")
	}
	p.waitAnswer("I heard “This is")
	const hidden = `(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)(document.getElementById("scroller"))`
	p.look(low)
	p.wait(`innerHeight === 500 && ` + hidden + ` < 2`)
	p.look(tall)
	p.wait(`innerHeight === 844 && ` + hidden + ` < 2`)
	p.js(`document.getElementById("scroller").scrollTop = 0`)
	p.look(low)
	p.wait(`innerHeight === 500`)
	p.js(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))`)
	if got := p.js(`document.getElementById("scroller").scrollTop`); got != "0" {
		t.Errorf("somebody read the first line, and the page scrolled away to %s", got)
	}
	p.mustBeClean()
}

// TestMicrophoneOfAnotherRate is about Firefox, which connects a microphone to no
// context of another rate.
func TestMicrophoneOfAnotherRate(t *testing.T) {
	p := open(t, serve(t), view{before: listening + `
		const connect = AudioContext.prototype.createMediaStreamSource;
		AudioContext.prototype.createMediaStreamSource = function (stream) {
			if (this.sampleRate === 24000) throw new DOMException("different sample-rate", "NotSupportedError");
			return connect.call(this, stream);
		};`})
	p.click("talk")
	p.waitText("microphone-state", "On")
	p.waitAnswer("I heard you speak for 1.")
	p.mustBeClean()
}

func TestKeyboardOnly(t *testing.T) {
	p := open(t, serve(t), view{})
	press := func(key, id string, options ...chromedp.KeyOption) {
		t.Helper()
		p.check(chromedp.Do(p.ctx, chromedp.KeyEvent(key, options...)))
		p.wait(`document.activeElement.id === ` + quote(id))
	}
	back := chromedp.KeyModifiers(chromedp.ModifierShift)
	press(kb.Tab, "talk")
	press(kb.Tab, "type")
	press(kb.Enter, "line") // the connection opens
	p.keys("Hello\r")
	p.waitAnswer("I heard “Hello”.")
	press(kb.Tab, "send")
	press(kb.Tab, "line", back)
	press(kb.Tab, "scroller", back)
	press(kb.Tab, "end", back)
	press(kb.Tab, "sound", back)
	p.keys(" ")
	p.wait(`document.getElementById("sound").ariaPressed === "false"`)
	press(kb.Tab, "end")
	press(kb.Enter, "talk")
	p.waitPhase("ready")
	p.mustBeClean()
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import "testing"

func TestTyping(t *testing.T) {
	p := open(t, serve(t), view{})
	p.screenshot("ready wide")
	p.click("type")
	p.waitPhase("talking")
	p.say("How are you?")
	p.waitAnswer("I heard “How are you?”. ")
	p.screenshot("typing wide")
	p.click("end")
	p.waitPhase("ready")
	p.mustBeClean()
}

func TestTalking(t *testing.T) {
	p := open(t, serve(t), view{})
	p.click("talk")
	p.waitPhase("talking")
	p.waitText("microphone-state", "On")
	p.waitText("state", "Listening")
	p.screenshot("listening wide")
	p.waitText("state", "Speaking")
	p.screenshot("speaking wide")
	p.waitAnswer("I heard you speak for")
	p.wait(`document.querySelector(".agent.interrupted")`)
	p.screenshot("interrupted wide")
	p.mustBeClean()
}

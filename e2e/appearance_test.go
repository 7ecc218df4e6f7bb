// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strconv"
	"testing"
)

// screens are a small phone, one whose keyboard is open, a phone, the same on its side,
// a tablet and a desktop.
var screens = [][2]int64{{320, 568}, {390, 500}, {390, 844}, {844, 390}, {820, 1180}, {1280, 800}}

// composerOutside is how many pixels of the line to type in the screen does not show.
const composerOutside = `(({ top, bottom, height }) =>
	height - Math.max(0, Math.min(bottom, innerHeight) - Math.max(top, 0)))(document.getElementById("composer").getBoundingClientRect())`

// TestAppearance brings the page into each of its states, and looks at it on each
// screen, light and dark. The rest is for people: the screenshots.
func TestAppearance(t *testing.T) {
	for name, reach := range map[string]func(t *testing.T) *page{
		"ready": func(t *testing.T) *page {
			return open(t, serve(t), view{calm: true})
		},
		"connecting": func(t *testing.T) *page {
			xai := &upstream{t: t, sessions: []session{hangs, hangs, hangs}}
			p := open(t, serve(t, instead(t, xai)...), view{calm: true})
			p.click("type")
			p.waitText("token", "Not used")
			return p
		},
		"talking": func(t *testing.T) *page {
			p := open(t, serve(t), view{calm: true})
			p.click("talk")
			p.waitText("microphone-state", "On")
			p.wait(`document.querySelector(".agent.interrupted ~ .agent:not(.interrupted)")`)
			p.waitYourTurn()
			p.click("line")
			p.say("Could you tell me in a few words what an ephemeral token is good for?")
			p.waitAnswer("I heard “Could you tell me")
			return p
		},
		"failed": func(t *testing.T) *page {
			p := open(t, serve(t, tokens, tokens+"\nrate_limit 1 1m"), view{calm: true})
			p.click("type")
			p.waitPhase("talking")
			p.say("Hello")
			p.waitAnswer("I heard “Hello”.")
			p.click("end")
			p.click("talk")
			p.waitPhase("failed")
			return p
		},
		"failed with a hint": func(t *testing.T) *page {
			p := open(t, serve(t, "endpoint http://localhost:8081", "retries 0\nendpoint http://127.0.0.1:1"), view{calm: true})
			p.click("talk")
			p.waitPhase("failed")
			p.js(`document.querySelector("details").open = true`)
			return p
		},
		"without a microphone": func(t *testing.T) *page {
			p := open(t, serve(t), view{calm: true, before: `navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", "NotFoundError"); };`})
			p.click("talk")
			p.waitPhase("talking")
			p.mustExplain("There is no microphone")
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := reach(t)
			script := axe(t)
			for _, screen := range screens {
				for _, dark := range []bool{false, true} {
					p.look(view{width: screen[0], height: screen[1], dark: dark, calm: true})
					width, height := strconv.FormatInt(screen[0], 10), strconv.FormatInt(screen[1], 10)
					name := name + " " + width + "x" + height + map[bool]string{false: " light", true: " dark"}[dark]
					p.wait(`innerWidth === ` + width + ` && innerHeight === ` + height)
					if got := p.js(`document.documentElement.scrollWidth`); got != width {
						t.Errorf("%s: the page is %s pixels wide", name, got)
					}
					// Whoever cannot or will not speak has to find the line to type in.
					if got := p.js(composerOutside); got != "0" {
						t.Errorf("%s: %s pixels of the line to type in are out of sight", name, got)
					}
					p.screenshot(name)
					p.mustBeAccessible(script, name)
				}
			}
		})
	}
}

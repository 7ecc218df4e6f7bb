// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strconv"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// stopwatch measures how long after a click the page opens its WebSocket.
const stopwatch = `
	window.tokens = 0;
	const ask = window.fetch;
	window.fetch = async (url, options) => {
		const answer = await ask(url, options);
		if (url === "/session") tokens++;
		return answer;
	};
	addEventListener("click", () => { window.clicked ??= performance.now(); }, { capture: true });
	const Socket = window.WebSocket;
	window.WebSocket = class extends Socket {
		constructor(...args) {
			window.delay ??= performance.now() - clicked;
			super(...args);
		}
	};`

// TestClick is about what somebody feels who starts a conversation while xAI takes its
// time: the token is there before the click, since they had to move to the button first.
func TestClick(t *testing.T) {
	const latency, most = 400, 50 // ms
	url := serve(t, "\txai_sandbox\n", "\txai_sandbox {\n\t\tlatency 400ms\n\t}\n")
	for name, intend := range map[string]func(p *page){
		"after the pointer came over the button": func(p *page) {
			p.js(`(({ left, top }) => { window.at = [left + 9, top + 9]; })(document.getElementById("talk").getBoundingClientRect())`)
			p.check(chromedp.Do(p.ctx, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, number(t, p.js(`at[0]`)), number(t, p.js(`at[1]`)))))
		},
		"after the keyboard came to the button": func(p *page) { p.keys(kb.Tab) },
		"after a finger touched it": func(p *page) {
			p.js(`document.getElementById("talk").dispatchEvent(new Event("touchstart"))`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, url, view{before: stopwatch})
			intend(p)
			p.wait(`tokens === 1`)
			p.click("talk")
			p.waitPhase("talking")
			delay := number(t, p.js(`delay`))
			t.Logf("the WebSocket was begun %.1f ms after the click", delay)
			if delay > most {
				t.Errorf("the click waited for %.1f ms, more than %d", delay, most)
			}
			p.click("end")
			p.waitPhase("ready")
			if got := p.js(`tokens`); got != "1" {
				t.Errorf("%s tokens were fetched, want 1: nobody wants to start again", got)
			}
			p.mustBeClean()
		})
	}
	t.Run("without a warning waits for xAI", func(t *testing.T) {
		p := open(t, url, view{before: stopwatch})
		p.js(`document.getElementById("talk").click()`)
		p.waitPhase("talking")
		if delay := number(t, p.js(`delay`)); delay < latency {
			t.Errorf("the click waited for %.1f ms, less than xAI takes", delay)
		}
	})
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

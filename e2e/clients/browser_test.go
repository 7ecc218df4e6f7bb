// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// stopChromium ends the browser that the tests share, if one was started.
var (
	chromium     context.Context
	stopChromium = func() {}
)

// page is a page of a site in a profile of its own.
type page struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // chromedp's handle of a page
}

// microphone is one that says something when it is told to: speak(seconds).
const microphone = `
	navigator.mediaDevices.getUserMedia = async () => {
		const context = new AudioContext();
		const voice = new OscillatorNode(context, { frequency: 200 });
		const volume = new GainNode(context, { gain: 0 });
		const out = new MediaStreamAudioDestinationNode(context);
		voice.connect(volume).connect(out);
		voice.start();
		window.speak = (seconds) => {
			volume.gain.setValueAtTime(0.3, context.currentTime);
			volume.gain.setValueAtTime(0, context.currentTime + seconds);
		};
		return out.stream;
	};`

// open bundles a program and runs it in a page, after what is to be run before it.
func (s *site) open(t *testing.T, program, before string) *page {
	t.Helper()
	need(t, errLibraries)
	need(t, startChromium())
	s.run(t, node, "node_modules/esbuild/bin/esbuild", program, "--bundle", "--format=esm", "--jsx=automatic", "--outfile=bundle.js", "--log-level=warning",
		`--define:process.env.NODE_ENV="production"`)
	s.write(t, "before.js", before)
	s.write(t, "index.html", `<!DOCTYPE html><html lang="en"><title>Client</title><div id="root"></div><script src="before.js"></script><script type="module" src="bundle.js"></script></html>`)
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &page{t, ctx}
	if err := chromedp.Do(ctx, chromedp.Navigate(s.url)); err != nil {
		t.Fatal(err)
	}
	return p
}

// startChromium starts the browser, unless it runs.
func startChromium() error {
	if chromium != nil {
		return nil
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return errors.New("Chromium is missing")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // CI runs as root, for whom Chromium has no sandbox
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost"),
		chromedp.Flag("ignore-certificate-errors", true), // nobody vouches for the sandbox
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	var stopBrowser context.CancelFunc
	chromium, stopBrowser = chromedp.NewContext(allocator) //nolint:fatcontext // once for all tests
	stopChromium = func() {
		stopBrowser()
		stopAllocator()
	}
	return chromedp.Do(chromium)
}

// js evaluates an expression, which becomes a text.
func (p *page) js(expression string) string {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`String(`+expression+`)`))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// wait looks at the page until the expression is true.
func (p *page) wait(expression string) {
	p.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(25 * time.Millisecond) {
		if p.js(`Boolean(`+expression+`)`) == "true" {
			return
		}
	}
	p.t.Fatalf("waited too long for %s on the page\n%s\n%s", expression, p.js(`document.body.innerText`), p.js(`JSON.stringify(window.complaints ?? [])`))
}

func TestAgentsInChromium(t *testing.T) {
	need(t, errNode)
	p := serve(t).open(t, "agents.page.mjs", "")
	p.wait(`window.outcome`)
	if got := p.js(`outcome`); got != "ok" {
		t.Error(got)
	}
}

// recording keeps what the page hears of the agent, and what goes wrong.
const recording = `
	window.heard = [];
	window.complaints = [];
	addEventListener("error", ({ message }) => complaints.push(message));
	addEventListener("unhandledrejection", ({ reason }) => complaints.push(String(reason)));
	window.WebSocket = class extends WebSocket {
		constructor(...args) {
			super(...args);
			window.socket = this;
			this.addEventListener("message", ({ data }) => {
				const { type, response, error } = JSON.parse(data);
				heard.push(response ? type + " " + response.status : type);
				if (error) complaints.push(error.message);
			});
		}
	};`

func TestAISDKInChromium(t *testing.T) {
	need(t, errNode)
	p := serve(t).open(t, "ai-sdk.page.jsx", recording+microphone)
	click := func(button string) {
		t.Helper()
		p.wait(`[...document.querySelectorAll("button")].some((button) => button.textContent === "` + button + `")`)
		p.js(`[...document.querySelectorAll("button")].find((button) => button.textContent === "` + button + `").click()`)
	}
	click("Connect")
	p.wait(`document.body.innerText.includes("connected")`)

	click("Ask")
	p.wait(`heard.includes("response.done completed")`)
	p.wait(`document.body.innerText.includes("assistant: I heard “How are you?”")`)

	click("Talk")
	p.wait(`window.speak`)
	p.js(`heard.length = 0, speak(1.5)`)
	p.wait(`heard.includes("response.output_audio.delta")`)
	p.wait(`/user: \(I spoke for 1\.\d seconds/.test(document.body.innerText)`)

	p.js(`speak(0.5)`)
	p.wait(`heard.includes("response.done cancelled")`)

	click("End")
	p.wait(`socket.readyState === WebSocket.CLOSED`)
	if got := p.js(`complaints.join("\n")`); got != "" {
		t.Error(got)
	}
}

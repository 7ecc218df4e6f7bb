// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

const (
	patience = 20 * time.Second      // until a test gives up
	pace     = 25 * time.Millisecond // between two looks at the page
)

// page is the voice page in a profile of its own.
type page struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // chromedp's handle of a page

	mu         sync.Mutex
	complaints []string // what the console says is wrong, violations of the policy among it
}

// view is what a page is opened with. The zero value is a wide light screen, and a
// microphone that may be used.
type view struct {
	width, height int64
	dark, calm    bool
	microphone    browser.PermissionSetting
	before        string // JavaScript that runs before the page's own
}

// open opens the voice page, and waits until a click does something.
func open(t *testing.T, url string, v view) *page {
	t.Helper()
	p := visit(t, url, v)
	// Until the settings are there, a click does nothing.
	p.wait(`!document.getElementById("not-running") && (!document.getElementById("talk").disabled || document.body.dataset.phase === "failed")`)
	return p
}

// visit opens any page.
func visit(t *testing.T, url string, v view) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &page{t: t, ctx: ctx}
	p.check(chromedp.Do(ctx))
	go p.listen()
	if v.microphone == "" {
		v.microphone = browser.PermissionSettingGranted
	}
	p.permit(v.microphone)
	if v.before != "" {
		_, err := chromedp.Call(ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: v.before})
		p.check(err)
	}
	p.look(v)
	p.check(chromedp.Do(ctx, chromedp.Navigate(url)))
	return p
}

func (p *page) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// permit decides about the microphone in the place of the person and the browser.
func (p *page) permit(setting browser.PermissionSetting) {
	p.t.Helper()
	_, err := chromedp.CallBrowser(p.ctx, browser.SetPermission, browser.SetPermissionParams{
		Permission:       &browser.PermissionDescriptor{Name: "microphone"},
		Setting:          setting,
		BrowserContextID: chromedp.FromContext(p.ctx).BrowserContextID,
	})
	p.check(err)
}

// look sets what the screen is like.
func (p *page) look(v view) {
	p.t.Helper()
	if v.width == 0 {
		v.width, v.height = 1280, 800
	}
	_, err := chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: v.width, Height: v.height, DeviceScaleFactor: 1, Mobile: v.width < 600,
	})
	p.check(err)
	scheme, motion := "light", "no-preference"
	if v.dark {
		scheme = "dark"
	}
	if v.calm {
		motion = "reduce"
	}
	_, err = chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
		{Name: "prefers-reduced-motion", Value: motion},
	}})
	p.check(err)
}

// listen collects what is wrong by the console, until the page is closed.
func (p *page) listen() {
	for message, err := range chromedp.Console(p.ctx) {
		if err != nil {
			return
		}
		switch message.Type {
		case chromedp.ConsoleWarning, chromedp.ConsoleError, chromedp.ConsoleException:
			complaint := fmt.Sprint(message.String(), " ", message.URL)
			p.mu.Lock()
			if !slices.Contains(p.complaints, complaint) { // what is wrong may be so in every frame
				p.complaints = append(p.complaints, complaint)
			}
			p.mu.Unlock()
		}
	}
}

// mustBeClean fails if anything in the console is wrong.
func (p *page) mustBeClean() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, complaint := range p.complaints {
		p.t.Error(complaint)
	}
}

// wait looks at the page until the JavaScript expression is true.
func (p *page) wait(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`Boolean(`+expression+`)`))
		if err == nil && holds {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			p.t.Fatalf("%s never became true (%v); the page says:\n%s\nand the console %q", expression, err, p.js(`document.body.innerText`), p.complaints)
		}
	}
}

// js returns what a JavaScript expression is, as a string.
func (p *page) js(expression string) string {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`String(`+expression+`)`))
	p.check(err)
	return value
}

// waitText waits until an element's text contains the words.
func (p *page) waitText(id, words string) {
	p.t.Helper()
	p.wait(fmt.Sprintf(`document.getElementById(%s).textContent.includes(%s)`, quote(id), quote(words)))
}

func (p *page) waitPhase(phase string) {
	p.t.Helper()
	p.wait(`document.body.dataset.phase === ` + quote(phase))
}

func (p *page) click(id string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS("#"+id))); err != nil {
		p.t.Fatalf("clicking %s: %v", id, err)
	}
}

func (p *page) keys(keys string) {
	p.t.Helper()
	p.check(chromedp.Do(p.ctx, chromedp.KeyEvent(keys)))
}

// say types a message where the keyboard's focus is expected to be, and sends it.
func (p *page) say(text string) {
	p.t.Helper()
	p.wait(`document.activeElement.id === "line"`)
	p.keys(text + "\r")
}

// waitAnswer waits until the agent has said the words, in full.
func (p *page) waitAnswer(words string) {
	p.t.Helper()
	p.wait(`[...document.querySelectorAll(".agent p")].some((line) => line.textContent.includes(` + quote(words) + `))`)
}

// converse has a conversation of one question, from its start to its end.
func (p *page) converse(text string) {
	p.t.Helper()
	p.click("type")
	p.waitPhase("talking")
	p.say(text)
	p.waitAnswer("I heard “" + text + "”.")
	p.click("end")
	p.waitPhase("ready")
}

// waitYourTurn waits until the agent has finished its last line, in words and in sound.
// The state alone may be that of the frame before: the line's end was announced later.
func (p *page) waitYourTurn() {
	p.t.Helper()
	p.wait(`document.querySelector(".agent:last-child:not(.interrupted)")
		&& document.getElementById("announcer").textContent === "Agent: " + document.querySelector(".agent:last-child p").textContent
		&& document.getElementById("state").textContent === "Your turn"`)
}

// mustExplain waits for a notice with these words.
func (p *page) mustExplain(words ...string) {
	p.t.Helper()
	for _, words := range words {
		p.waitText("notice", words)
	}
}

// screenshot keeps what the page looks like, for people to look at.
func (p *page) screenshot(name string) {
	p.t.Helper()
	dir := os.Getenv("E2E_SCREENSHOTS")
	if dir == "" {
		dir = p.t.TempDir()
	}
	image, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	p.check(err)
	p.check(os.MkdirAll(dir, 0o700))
	p.check(os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".png"), image, 0o600))
}

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string is always JSON
	}
	return string(quoted)
}

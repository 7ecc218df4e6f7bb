// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// chromium is the browser that all tests share, each with a profile of its own.
// It is nil where there is none.
var chromium context.Context

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	path := findChromium()
	if path == "" {
		if os.Getenv("E2E_REQUIRE") != "" {
			fmt.Fprintln(os.Stderr, "E2E_REQUIRE is set, and there is no Chromium")
			return 1
		}
		return m.Run() // each test skips
	}
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the system's directory for temporary files is cleared anyway
	voice := filepath.Join(dir, "voice.wav")
	if err := os.WriteFile(voice, speech(), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	xai := httptest.NewTLSServer(apiXAI)
	defer xai.Close()
	var stop context.CancelFunc
	chromium, stop = startChromium(path, voice, xai.Listener.Addr().String()) //nolint:fatcontext // once, before the tests
	defer stop()
	if err := chromedp.Do(chromium); err != nil {
		fmt.Fprintln(os.Stderr, "starting Chromium:", err)
		return 1
	}
	return m.Run()
}

// insecureHost is a name of this machine that a browser does not trust.
const insecureHost = "voice.example.com"

func findChromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// startChromium starts a browser that hears voice, a WAV file, in its microphone,
// finds api.x.ai at the address xai, and talks to nobody but the tests.
func startChromium(path, voice, xai string) (ctx context.Context, stop context.CancelFunc) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // CI runs as root, for whom Chromium has no sandbox
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP api.x.ai:443 "+xai+", MAP "+insecureHost+" 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
		chromedp.Flag("ignore-certificate-errors", true), // nobody vouches for that api.x.ai
		chromedp.Flag("use-fake-device-for-media-stream", true),
		chromedp.Flag("use-file-for-fake-audio-capture", voice),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stopBrowser := chromedp.NewContext(allocator)
	return ctx, func() {
		stopBrowser()
		stopAllocator()
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
)

const axeVersion = "4.14.1"

// axe returns the script of axe-core, which finds what keeps people with
// disabilities out of a page, contrast included.
func axe(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	command := exec.CommandContext(t.Context(), "npm", "pack", "--silent", "axe-core@"+axeVersion)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		missing(t, "no axe-core: %v\n%s", err, out)
	}
	zipped, err := os.ReadFile(filepath.Join(dir, "axe-core-"+axeVersion+".tgz"))
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(unzipped)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			t.Fatal("the package has no axe.min.js")
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Name == "package/axe.min.js" {
			script, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			return string(script)
		}
	}
}

// mustBeAccessible fails for everything that axe-core finds. The name tells what the
// page shows.
func (p *page) mustBeAccessible(script, name string) {
	p.t.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](script+`;
		window.findings = undefined;
		axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }).then(({ violations }) => {
			window.findings = violations.flatMap(({ id, help, nodes }) =>
				nodes.map(({ target, failureSummary }) => id + ": " + help + "\n" + target + "\n" + failureSummary));
		});
		true`))
	p.check(err)
	p.wait(`window.findings`)
	if findings := p.js(`findings.join("\n\n")`); findings != "" {
		p.t.Errorf("%s:\n%s", name, findings)
	}
}

// TestNames holds the page to what a screen reader says of its parts.
func TestNames(t *testing.T) {
	p := open(t, serve(t), view{})
	p.click("talk")
	p.waitText("microphone-state", "On")
	tree, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	p.check(err)
	said := make(map[string]bool)
	for _, node := range tree.Nodes {
		if !node.Ignored && node.Role != nil && node.Name != nil {
			said[strings.ReplaceAll(string(node.Role.Value)+" "+string(node.Name.Value), `"`, "")] = true
		}
	}
	for _, want := range []string{
		"heading Talk to the agent", "heading Conversation", "region Transcript", "textbox Your message",
		"button Send", "button Microphone", "button Sound", "button End", "meter Microphone level",
	} {
		if !said[want] {
			t.Errorf("nothing is said as %q", want)
		}
	}
	if got := p.js(`document.getElementById("announcer").ariaLive + " " + document.getElementById("notice").role`); got != "polite alert" {
		t.Errorf("what is announced is %s, want polite alert", got)
	}
}

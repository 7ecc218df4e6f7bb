// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// run runs a program in the directory of the site, which must end well.
func (s *site) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...) //nolint:gosec // these are the tests' own
	command.Dir = s.dir
	command.Env = s.environ()
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return string(output)
}

func TestInNode(t *testing.T) {
	need(t, errLibraries)
	need(t, errNode)
	for name, program := range map[string]string{
		"ws":                         "ws.test.mjs",
		"Node's own WebSocket":       "websocket.test.mjs",
		"openai":                     "openai.test.mjs",
		"@openai/agents-realtime":    "agents.test.mjs",
		"@livekit/agents-plugin-xai": "livekit.test.mjs",
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(serve(t).run(t, node, program))
		})
	}
}

func TestInPython(t *testing.T) {
	python, err := findPython()
	need(t, err)
	serve(t).run(t, python, "talk_test.py")
}

// TestExamplesFromTheCommandLine runs the two programs as people do.
func TestExamplesFromTheCommandLine(t *testing.T) {
	mustAnswer := func(t *testing.T, output string) {
		t.Helper()
		if !strings.HasPrefix(output, "I heard “How are you?”.") {
			t.Errorf("it prints %q", output)
		}
	}
	t.Run("talk.mjs", func(t *testing.T) {
		need(t, errLibraries)
		need(t, errNode)
		mustAnswer(t, serve(t).run(t, node, "talk.mjs", "How are you?"))
	})
	t.Run("talk.py", func(t *testing.T) {
		python, err := findPython()
		need(t, err)
		mustAnswer(t, serve(t).run(t, python, "talk.py", "How are you?"))
	})
}

// findPython returns a Python that has websockets. Debian's package is for its own
// Python, before which there may be another one.
func findPython() (string, error) {
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import websockets").Run() == nil { //nolint:noctx,gosec // it takes no time, and the names are these
			return name, nil
		}
	}
	return "", errors.New("Python's websockets is missing")
}

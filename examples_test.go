// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// startExample serves the Caddyfile in a directory of examples/, as it is on the
// disk. What its {$VARIABLES} are comes from environ, in which SITE, SITE2 and PORT
// stand for what they stand for in startCaddy.
func startExample(t *testing.T, up *upstream, directory string, environ map[string]string) *caddyServer {
	t.Helper()
	config := readExample(t, directory, "Caddyfile")
	all := map[string]string{"SITE_ADDRESS": "http://SITE", "XAI_URL": up.server.URL, "XAI_API_KEY": testKey}
	maps.Copy(all, environ)
	return startCaddyBy(t, up, func(s *caddyServer) error {
		for name, value := range all {
			t.Setenv(name, s.names.Replace(value))
		}
		return s.loadVerbatim(s.names.Replace(globalOptions) + config)
	})
}

func readExample(t *testing.T, elements ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{"examples"}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestExampleCaddyfiles holds for all of them: they need nothing but the
// environment, and look as "caddy fmt" has it.
func TestExampleCaddyfiles(t *testing.T) {
	files, err := filepath.Glob("examples/*/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob("examples/*/*/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, deeper...)
	if len(files) == 0 {
		t.Fatal("there are none")
	}
	for _, file := range files {
		t.Run(filepath.ToSlash(filepath.Dir(file)), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(caddyfile.Format(content), content) {
				t.Error("it is not formatted: caddy fmt --overwrite " + file)
			}
			if strings.Contains(string(content), "rate_limit {") {
				return // a directive of another plugin, see TestXcaddyRateLimit
			}
			_, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(content, map[string]any{"filename": file})
			if err != nil || len(warnings) > 0 {
				t.Errorf("error %v, warnings %v", err, warnings)
			}
		})
	}
}

// openSession opens a realtime session with a token, as a page does, and reports
// what became of that.
func openSession(t *testing.T, url, token string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client := newHTTPClient(t)
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{ //nolint:bodyclose // Dial does it
		HTTPClient: client, Subprotocols: []string{"xai-client-secret." + token},
	})
	if err != nil {
		return err
	}
	defer conn.CloseNow() //nolint:errcheck // the session is over
	_, first, err := conn.Read(ctx)
	if err == nil && !strings.Contains(string(first), `"session.created"`) {
		t.Errorf("the first event is %s", first)
	}
	return err
}

// mustOpenOneSession fails the test unless the token is good for one session and
// for no other.
func (u *upstream) mustOpenOneSession(t *testing.T, token string) {
	t.Helper()
	url := u.server.URL + "/v1/realtime?model=grok-voice-latest"
	if err := openSession(t, url, token); err != nil {
		t.Errorf("the token opens no session: %v", err)
	}
	if err := openSession(t, url, token); err == nil {
		t.Error("the token opens a second session")
	}
}

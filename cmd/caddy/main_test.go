// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// TestQuickstart serves the quickstart as the README does, on other ports, and
// opens sessions with its tokens.
func TestQuickstart(t *testing.T) {
	t.Chdir("../..")
	page, realtime := startQuickstart(t)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()

	t.Run("serves the page and its parts", func(t *testing.T) {
		files, err := os.ReadDir("examples/voice")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			want := http.StatusOK
			if name := file.Name(); name == "Caddyfile" || name == "README.md" {
				want = http.StatusNotFound
			}
			if status, _ := request(t, client, http.MethodGet, page+"/"+file.Name()); status != want {
				t.Errorf("%s got %d, want %d", file.Name(), status, want)
			}
		}
	})
	t.Run("serves the page by the machine's own address, too", func(t *testing.T) {
		byAddress := strings.Replace(page, "localhost", "127.0.0.1", 1)
		if status, body := request(t, client, http.MethodGet, byAddress); status != http.StatusOK || !strings.Contains(string(body), "Talk to the agent") {
			t.Errorf("got %d %s", status, body)
		}
		mintToken(t, client, byAddress)
	})
	t.Run("has nothing for a name that somebody else made lead here", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, page+"/session", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "rebound.example.com:" + req.URL.Port()
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || len(body) > 0 {
			t.Errorf("got %s, error %v", body, err)
		}
	})
	t.Run("leads the page to the sandbox", func(t *testing.T) {
		var settings struct {
			Realtime string `json:"realtime"`
		}
		status, body := request(t, client, http.MethodGet, page+"/settings.json")
		if err := json.Unmarshal(body, &settings); err != nil || settings.Realtime != realtime {
			t.Errorf("got %d %s, want %s", status, body, realtime)
		}
	})
	for name, options := range map[string]func(token string) *websocket.DialOptions{
		"by header": func(token string) *websocket.DialOptions {
			return &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}}
		},
		"by subprotocol": func(token string) *websocket.DialOptions {
			return &websocket.DialOptions{Subprotocols: []string{"xai-client-secret." + token}}
		},
	} {
		t.Run("a token opens one session "+name, func(t *testing.T) {
			options := options(mintToken(t, client, page))
			options.HTTPClient = client
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			conn, resp, err := websocket.Dial(ctx, realtime, options) //nolint:bodyclose // Dial does it
			if err != nil {
				t.Fatal(err)
			}
			defer conn.CloseNow() //nolint:errcheck // the session is over
			if want := strings.Join(options.Subprotocols, ""); conn.Subprotocol() != want {
				t.Errorf("the server selected %d bytes of subprotocol, want %d", len(conn.Subprotocol()), len(want))
			}
			_, first, err := conn.Read(ctx)
			if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || !strings.Contains(string(first), `"session.created"`) {
				t.Errorf("got %d, first event %s, error %v", resp.StatusCode, first, err)
			}
			_, resp, err = websocket.Dial(ctx, realtime, options) //nolint:bodyclose // Dial does it
			if err == nil || resp == nil || resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("a second session with the same token: error %v, want 401", err)
			}
		})
	}
}

// TestQuickstartWarnsOfNothing reads what it prints in a terminal.
func TestQuickstartWarnsOfNothing(t *testing.T) {
	page, sandbox := freePorts(t)
	output := start(t, quickstartConfig(t, page, sandbox), "127.0.0.1:"+page)
	mintToken(t, new(http.Client), "http://localhost:"+page)
	deadline := time.After(20 * time.Second)
	for !strings.Contains(output.String(), "serving initial configuration") {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatal("it has not started")
		}
	}
	if printed := output.String(); strings.Contains(printed, `"warn"`) || strings.Contains(printed, `"error"`) {
		t.Error(printed)
	}
}

// startQuickstart returns the addresses of the page and of the sandbox's
// WebSocket.
func startQuickstart(t *testing.T) (page, realtime string) {
	t.Helper()
	config, err := os.ReadFile("examples/quickstart/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	pagePort, sandboxPort := freePorts(t)
	config = []byte(strings.NewReplacer("8080", pagePort, "8081", sandboxPort).Replace(string(config)))
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(config, map[string]any{"filename": "Caddyfile"})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("error %v, warnings %v", err, warnings)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatal(err)
	}
	return "http://localhost:" + pagePort, "ws://localhost:" + sandboxPort + "/v1/realtime?model=grok-voice-latest"
}

// freePorts returns two ports that nobody listened on just now.
func freePorts(t *testing.T) (first, second string) {
	t.Helper()
	for _, port := range []*string{&first, &second} {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() //nolint:gocritic // both at the end, or one could be found twice
		if _, *port, err = net.SplitHostPort(listener.Addr().String()); err != nil {
			t.Fatal(err)
		}
	}
	return first, second
}

func request(t *testing.T, client *http.Client, method, url string) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func mintToken(t *testing.T, client *http.Client, page string) string {
	t.Helper()
	status, body := request(t, client, http.MethodPost, page+"/session")
	var token struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal(body, &token); err != nil || token.Value == "" {
		t.Fatalf("got %d %s", status, body)
	}
	return token.Value
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// site is a site whose limits are counted at an address.
func site(address string, options ...string) string {
	return caddytest.Site("rate_limit 3 1h", "retries 0", "limit_store redis "+address+" {\n"+strings.Join(options, "\n")+"\n}")
}

// TestValidateAsksNoStore has Caddy's command look at a config, which must not depend on
// whether a server is there.
func TestValidateAsksNoStore(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed when the test ends
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := caddytest.Start(t, caddytest.NewUpstream(t), caddytest.Site("rate_limit off"))
	caddytest.WriteFile(t, s.Dir+"/Caddyfile", s.Expand(site(listener.Addr().String())))
	command := s.Command(caddytest.OwnBinary(t), "validate", "--config", s.Dir+"/Caddyfile")
	command.Env = append(command.Env, "XAI_API_KEY="+caddytest.Key)
	if err := command.Run(); err != nil {
		t.Fatalf("%v\n%s", err, s.ReadFile("output.log"))
	}
	_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(100 * time.Millisecond))
	if conn, err := listener.Accept(); err == nil {
		t.Errorf("%s connected", conn.RemoteAddr())
	}
}

// TestCaddyWithoutStore loads a config whose server is not there, and then is.
func TestCaddyWithoutStore(t *testing.T) {
	server := startServer(t)
	server.stop()
	s := caddytest.Start(t, caddytest.NewUpstream(t), site(server.address))
	told := func() (lines []map[string]any) {
		for _, entry := range s.LoggedBy(storeModule) {
			if entry["msg"] == "the limit store does not answer" {
				lines = append(lines, entry)
			}
		}
		return lines
	}
	caddytest.Eventually(t, "it is told", func() bool { return len(told()) > 0 })
	if line := told()[0]; line["level"] != "warn" {
		t.Errorf("told %v", line)
	}
	asked := time.Now()
	for range 50 {
		got := s.Post()
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "1" {
			t.Fatalf("got %d %v, want 503", got.StatusCode, got.Header)
		}
	}
	if took := time.Since(asked); took > 3*time.Second {
		t.Errorf("50 answers took %s", took)
	}
	if lines := told(); len(lines) > 2 {
		t.Errorf("told %d times", len(lines))
	}
	server.restart()
	caddytest.Eventually(t, "there are tokens", func() bool { return s.Post().StatusCode == http.StatusOK })
}

// TestReloads keeps what was counted, when the config changes, and takes back what a
// request of the config before did not get.
func TestReloads(t *testing.T) {
	server := startServer(t)
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, site(server.address))
	caddytest.DecodeToken(t, s.Post())

	// One that xAI refuses only when its config is gone.
	began, refuse := make(chan struct{}), make(chan struct{})
	up.Script(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		close(began)
		<-refuse
		w.WriteHeader(http.StatusNotFound)
	})
	answered := make(chan int)
	go func() {
		got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session")
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		answered <- got.StatusCode
	}()
	caddytest.Receive(t, began)
	if err := s.Load(site("unix://"+server.socket, "timeout 2s")); err != nil {
		t.Fatal(err)
	}
	close(refuse)
	if status := <-answered; status != http.StatusBadGateway {
		t.Errorf("got %d, want 502", status)
	}
	for range 2 {
		caddytest.DecodeToken(t, s.Post())
	}
	if got := s.Post(); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the fourth token got %d, want 429", got.StatusCode)
	}
}

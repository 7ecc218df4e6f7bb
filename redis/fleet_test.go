// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// fleet is two Caddys, each a process of its own, that hand out the tokens of one
// upstream and count in one server.
type fleet struct {
	t         *testing.T
	upstream  *caddytest.Upstream
	server    *server
	instances [2]*caddytest.Server
}

const fleetLimit = 20

func startFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, upstream: caddytest.NewUpstream(t), server: startServer(t, "--appendonly", "yes", "--appendfsync", "always")}
	for i := range f.instances {
		f.startInstance(i)
	}
	return f
}

// startInstance starts an instance that ends with the test, or with stop before it.
func (f *fleet) startInstance(i int) {
	f.t.Helper()
	site := caddytest.FreeAddresses(f.t, 1)[0]
	config := filepath.Join(f.t.TempDir(), "Caddyfile")
	text := fmt.Sprintf(`
{
	default_bind 127.0.0.1
	servers {
		trusted_proxies static 127.0.0.1/32
	}
}
http://%s {
	xai_ephemeral_token /session {
		endpoint %s
		retries 0
		rate_limit %d 1h
		rate_limit 1000000 24h site
		limit_store redis %s {
			scope fleet
			timeout 10s
		}
	}
}
`, site, f.upstream.Endpoint(), fleetLimit, f.server.address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.instances[i] = caddytest.StartBinary(f.t, caddytest.OwnBinary(f.t), []string{"run", "--config", config}, site)
}

// ask asks an instance for a token for a client, and returns the status.
func (f *fleet) ask(instance int, client string) int {
	s := f.instances[instance]
	got, err := s.Try(f.t.Context(), http.MethodPost, s.URL+"/session", caddytest.Forwarded(client)...)
	if err != nil {
		f.t.Error(err)
		return 0
	}
	if got.StatusCode == http.StatusTooManyRequests && got.Header.Get("Retry-After") == "" {
		f.t.Error("429 without Retry-After")
	}
	return got.StatusCode
}

// burst has a client ask for six times the limit at once, of both instances, and then
// for what is left. It returns how many tokens it got.
func (f *fleet) burst(client string) int {
	var through atomic.Int32
	var group sync.WaitGroup
	for i := range 6 * fleetLimit {
		group.Go(func() {
			switch status := f.ask(i%2, client); status {
			case http.StatusOK:
				through.Add(1)
			case http.StatusTooManyRequests, http.StatusBadGateway:
			default:
				f.t.Errorf("got %d", status)
			}
		})
	}
	group.Wait()
	for i := range f.instances {
		for status := 0; status != http.StatusTooManyRequests; {
			if status = f.ask(i, client); status == http.StatusOK {
				through.Add(1)
			}
		}
	}
	return int(through.Load())
}

// clientOf is the address of the client of a round.
func clientOf(round int) string { return fmt.Sprintf("192.0.2.%d", round) }

// TestFleetOfCaddys shows at the upstream that two Caddys hand out exactly what one
// limit allows.
func TestFleetOfCaddys(t *testing.T) {
	f := startFleet(t)
	for round := range 20 {
		before := len(f.upstream.Requests())
		through := f.burst(clientOf(round))
		if minted := len(f.upstream.Requests()) - before; through != fleetLimit || minted != fleetLimit {
			t.Errorf("%d tokens came through, and %d were minted; want %d", through, minted, fleetLimit)
		}
	}
}

// TestFleetGivesBack has a third of the calls to xAI fail.
func TestFleetGivesBack(t *testing.T) {
	f := startFleet(t)
	var failed atomic.Int32
	failure := func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		failed.Add(1)
		sandbox.Status(http.StatusNotFound)(w, r, nil)
	}
	for round := range 20 {
		for range fleetLimit {
			f.upstream.Script(nil, failure, nil)
		}
		before := len(f.upstream.Requests()) - int(failed.Load())
		through := f.burst(clientOf(round))
		if minted := len(f.upstream.Requests()) - int(failed.Load()) - before; through != fleetLimit || minted != fleetLimit {
			t.Errorf("%d tokens came through, and %d were minted; want %d", through, minted, fleetLimit)
		}
	}
	if failed.Load() < 20*fleetLimit/4 {
		t.Errorf("only %d calls failed", failed.Load())
	}
}

// TestFleetIsRestarted replaces both instances, and restarts the server, while a limit
// is used up.
func TestFleetIsRestarted(t *testing.T) {
	f := startFleet(t)
	through := 0
	for i := range fleetLimit / 2 {
		if f.ask(i%2, clientOf(1)) == http.StatusOK {
			through++
		}
	}
	f.server.restart()
	for i := range f.instances {
		f.startInstance(i)
	}
	through += f.burst(clientOf(1))
	if minted := len(f.upstream.Requests()); through != fleetLimit || minted != fleetLimit {
		t.Errorf("%d tokens came through, and %d were minted; want %d", through, minted, fleetLimit)
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

//go:build xcaddy

package xcaddy

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// startRedis starts a redis-server that ends with the test, and returns its URL.
func startRedis(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("REDIS_REQUIRE") != "" {
			t.Fatal("REDIS_REQUIRE is set, and there is no redis-server")
		}
		t.Skip("there is no redis-server: install the package of that name to run this test")
	}
	address := caddytest.FreeAddresses(t, 1)[0]
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", t.TempDir()) //nolint:gosec // a port
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() }) // when t.Context has ended the process
	caddytest.Eventually(t, "the server listens", func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return "redis://" + address
}

// TestXcaddyRateLimit builds Caddy by the command of the example, and shows that two
// instances of it have one limit.
func TestXcaddyRateLimit(t *testing.T) {
	const limit = 20
	redis := startRedis(t)
	binary := xcaddy(t, caddytest.ReadmeCommand(t, "rate-limit", "xcaddy build ")[1:]...)
	dockerfile := strings.ReplaceAll(caddytest.ReadExample(t, "rate-limit", "Dockerfile"), "\\\n\t", "")
	if command := strings.Join(caddytest.ReadmeCommand(t, "rate-limit", "xcaddy build "), " "); !strings.Contains(dockerfile, "RUN "+command+"\n") {
		t.Errorf("the Dockerfile does not build by %s", command)
	}

	up := caddytest.NewUpstream(t)
	var instances []*caddytest.Server
	for _, site := range caddytest.FreeAddresses(t, 2) {
		instances = append(instances, caddytest.StartBinary(t, binary,
			[]string{"run", "--config", filepath.Join("examples", "rate-limit", "Caddyfile")}, site,
			"SITE_ADDRESS=http://"+site, "XAI_URL="+up.URL, "RATE_LIMIT=20", "REDIS_URL="+redis))
	}
	var through atomic.Int32
	var group sync.WaitGroup
	for i := range 6 * limit {
		group.Go(func() {
			s := instances[i%2]
			got, err := s.Try(t.Context(), http.MethodPost, s.URL+"/session")
			switch {
			case err != nil:
				t.Error(err)
			case got.StatusCode == http.StatusOK:
				through.Add(1)
			case got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "":
				t.Errorf("got %d %v", got.StatusCode, got.Header)
			}
		})
	}
	group.Wait()
	if through.Load() != limit || len(up.Requests()) != limit {
		t.Errorf("%d tokens came through, and %d were minted; want %d", through.Load(), len(up.Requests()), limit)
	}
}

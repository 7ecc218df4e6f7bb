// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

//go:build xcaddy

package xcaddy

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// fleetLimit is how many tokens a client of the fleet may have in the window of
// these tests, which is longer than they last.
const fleetLimit = 20

// fleet is two instances of the example on one shared directory.
type fleet struct {
	instances [2]*caddytest.Server
	shared    string
}

func startFleet(t *testing.T, binary string, up *caddytest.Upstream, environ ...string) *fleet {
	t.Helper()
	f := &fleet{shared: t.TempDir()}
	for i, site := range caddytest.FreeAddresses(t, len(f.instances)) {
		f.instances[i] = caddytest.StartBinary(t, binary, []string{"run", "--config", filepath.Join("examples", "rate-limit", "Caddyfile")}, site, append([]string{
			"SITE_ADDRESS=http://" + site, "XAI_URL=" + up.URL, "SHARED_DIR=" + filepath.ToSlash(f.shared),
			"RATE_LIMIT=20", "RATE_WINDOW=10m", "SYNC_INTERVAL=20ms",
		}, environ...)...)
	}
	return f
}

// settle waits until each instance has read a state that every other one wrote
// after now.
func (f *fleet) settle(t *testing.T) {
	t.Helper()
	// An instance that is behind writes or reads next by chance: in so many rounds
	// each has read at least once.
	for range 20 {
		since := time.Now()
		caddytest.Eventually(t, "the instances have told each other", func() bool {
			files, err := filepath.Glob(filepath.Join(f.shared, "rate_limit", "instances", "*.rlstate"))
			if err != nil || len(files) != len(f.instances) {
				return false
			}
			for _, file := range files {
				if info, err := os.Stat(file); err != nil || !info.ModTime().After(since) {
					return false
				}
			}
			return true
		})
	}
}

// ask posts to an instance, and reports whether it gave a token.
func (f *fleet) ask(t *testing.T, instance int) bool {
	t.Helper()
	got, err := f.instances[instance].Try(t.Context(), http.MethodPost, f.instances[instance].URL+"/session")
	switch {
	case err != nil:
		t.Error(err)
	case got.StatusCode == http.StatusTooManyRequests && got.Header.Get("Retry-After") != "":
	case got.StatusCode != http.StatusOK:
		t.Errorf("got %d %v", got.StatusCode, got.Header)
	}
	return err == nil && got.StatusCode == http.StatusOK
}

// askUntil asks until so many got through. An instance can refuse too early: while
// another writes its state there are two files of it, and both are counted.
func (f *fleet) askUntil(t *testing.T, through int, ask func() bool) {
	t.Helper()
	for range through {
		caddytest.Eventually(t, "a request that is within the limit gets through", ask)
	}
}

// TestXcaddyRateLimit builds Caddy with both plugins, and shows that a fleet has
// one limit, and how exactly.
func TestXcaddyRateLimit(t *testing.T) {
	binary := xcaddy(t, caddytest.ReadmeCommand(t, "rate-limit", "xcaddy build ")[1:]...)
	up := caddytest.NewUpstream(t)

	t.Run("what one instance let through counts on the other", func(t *testing.T) {
		f := startFleet(t, binary, up)
		for i := range fleetLimit - 2 {
			if !f.ask(t, 0) {
				t.Fatalf("the first instance refused request %d", i)
			}
		}
		f.settle(t)
		f.askUntil(t, 2, func() bool { return f.ask(t, 1) })
		for range fleetLimit {
			if f.ask(t, 1) {
				t.Fatal("the second instance let more through than were left")
			}
		}
		f.settle(t)
		if f.ask(t, 0) || f.ask(t, 1) {
			t.Error("a request got through over the limit")
		}
	})
	t.Run("a preflight and another method count for nothing", func(t *testing.T) {
		f := startFleet(t, binary, up)
		for range fleetLimit + 1 {
			if got := f.instances[0].Do(http.MethodGet, f.instances[0].URL+"/session"); got.StatusCode != http.StatusMethodNotAllowed {
				t.Fatalf("got %d, want 405", got.StatusCode)
			}
		}
		if !f.ask(t, 0) {
			t.Error("the limit is used up")
		}
	})
	t.Run("no more than the limit of each gets through, even at once", func(t *testing.T) {
		f := startFleet(t, binary, up)
		var through atomic.Int32
		var group sync.WaitGroup
		for i := range 6 * fleetLimit {
			group.Go(func() {
				if f.ask(t, i%2) {
					through.Add(1)
				}
			})
		}
		group.Wait()
		if n := int(through.Load()); n > 2*fleetLimit {
			t.Errorf("%d got through, want at most %d", n, 2*fleetLimit)
		} else if n < fleetLimit {
			f.askUntil(t, fleetLimit-n, func() bool { return f.ask(t, 0) || f.ask(t, 1) })
		}
		f.settle(t)
		if f.ask(t, 0) || f.ask(t, 1) {
			t.Error("a request got through after that")
		}
	})
	t.Run("instances that share their data directory take each other for themselves", func(t *testing.T) {
		f := startFleet(t, binary, up, "XDG_DATA_HOME="+t.TempDir())
		files := func() (names []string) {
			names, err := filepath.Glob(filepath.Join(f.shared, "rate_limit", "instances", "*.rlstate"))
			if err != nil {
				t.Fatal(err)
			}
			return names
		}
		caddytest.Eventually(t, "something is shared", func() bool { return len(files()) > 0 })
		if n := len(files()); n != 1 {
			t.Errorf("they are %d instances: the warning in the example is out of date: %s", n, strings.Join(files(), " "))
		}
	})
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // what a Caddyfile of a test may use

	_ "github.com/caddy-xai/caddy-xai-ephemeral-token" // the plugin under test
)

// Key is the API key that the upstreams accept.
const Key = "xai-test-key-0123456789abcdef"

// Server is a Caddy that serves a test's config over HTTP, in this process or in
// one of its own.
type Server struct {
	// URL is that of the first site.
	URL string
	// URL2 is that of the second site, for configs that have one.
	URL2 string
	// AdminURL is that of the admin API.
	AdminURL string
	// Dir is for the files of the test. What Caddy logs is in caddy.log there.
	Dir string
	// Client sends all requests. It follows no redirects.
	Client *http.Client
	// Reloaded says that the config was replaced. Caddy itself loses a few new
	// connections then, so Send tries again until there is an answer.
	Reloaded bool

	t       *testing.T
	serving bool
	names   *strings.Replacer
}

// Start serves a Caddyfile in this process until the test ends. In it SITE and
// SITE2 stand for the addresses of its sites, PORT for the port of the first, ADMIN
// for the address of the admin API, DIR for a directory of the test, and UPSTREAM
// for the endpoint at the upstream, which may be nil. There is one Caddy in a
// process, so a test that starts one cannot run beside another that does.
func Start(t *testing.T, upstream *Upstream, config string) *Server {
	t.Helper()
	return StartBy(t, upstream, func(s *Server) error { return s.Load(config) })
}

// StartBy is Start for a config that load loads, by one of the methods of Server.
func StartBy(t *testing.T, upstream *Upstream, load func(*Server) error) *Server {
	t.Helper()
	s := &Server{t: t, Dir: t.TempDir(), Client: NewClient(t)}
	t.Cleanup(func() {
		// Stop leaves the admin API running.
		if err := caddy.Load([]byte(`{"admin": {"disabled": true, "config": {"persist": false}}}`), true); err != nil {
			t.Errorf("stopping the admin API: %v", err)
		}
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	for attempt := 1; ; attempt++ {
		s.chooseAddresses(upstream)
		err := load(s)
		if err == nil {
			s.serving = true
			return s
		}
		// Somebody else may have taken a port since it was found free.
		if !errors.Is(err, syscall.EADDRINUSE) || attempt == 5 {
			t.Fatalf("loading config: %v", err)
		}
	}
}

func (s *Server) chooseAddresses(upstream *Upstream) {
	addresses := FreeAddresses(s.t, 3)
	first, second, admin := addresses[0], addresses[1], addresses[2]
	s.URL, s.URL2, s.AdminURL = "http://"+first, "http://"+second, "http://"+admin
	endpoint := ""
	if upstream != nil {
		endpoint = upstream.Endpoint()
	}
	s.names = strings.NewReplacer(
		"SITE2", second, "SITE", first, "PORT", first[strings.LastIndex(first, ":")+1:],
		"ADMIN", admin, "UPSTREAM", endpoint,
		"DIR", filepath.ToSlash(s.Dir))
}

// GlobalOptions keep a test's Caddy away from the machine it runs on.
const GlobalOptions = `{
	admin ADMIN
	persist_config off
	default_bind 127.0.0.1
	auto_https disable_redirects
	skip_install_trust
	storage file_system DIR/storage
	grace_period 5s
	log {
		output file DIR/caddy.log {
			roll_disabled
		}
		format json
		level DEBUG
	}
	metrics
	servers {
		trusted_proxies static 127.0.0.1/32
		trace
	}
}
`

// Load replaces the running config by a Caddyfile, as a reload does.
func (s *Server) Load(config string) error {
	s.t.Helper()
	return s.LoadVerbatim(s.Expand(config))
}

// LoadVerbatim is Load for a Caddyfile in which no word stands for another.
func (s *Server) LoadVerbatim(config string) error {
	s.t.Helper()
	return s.LoadWhole(s.Expand(GlobalOptions) + config)
}

// LoadWhole is LoadVerbatim for a Caddyfile with global options of its own.
func (s *Server) LoadWhole(config string) error {
	s.t.Helper()
	adapted, err := Adapt(string(caddyfile.Format([]byte(config))))
	if err != nil {
		return err
	}
	return s.LoadJSON(string(adapted))
}

// LoadJSON replaces the running config by one in Caddy's own JSON, which gets none
// of the options that keep a test's Caddy away from the machine.
func (s *Server) LoadJSON(config string) error {
	s.t.Helper()
	s.Reloaded = s.serving
	return caddy.Load([]byte(config), true)
}

// Expand replaces SITE, and the other words that stand for something, in a config.
func (s *Server) Expand(config string) string { return s.names.Replace(config) }

// Reload replaces the running config, and hangs up first: Caddy closes the
// connections of the old config, which a request may notice too late.
func (s *Server) Reload(config string) {
	s.t.Helper()
	s.Client.CloseIdleConnections()
	if err := s.Load(config); err != nil {
		s.t.Fatal(err)
	}
}

// Adapt turns a Caddyfile into JSON. A warning is an error here, as is one of
// formatting.
func Adapt(config string) ([]byte, error) {
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(
		[]byte(config), map[string]any{"filename": "Caddyfile"})
	if err == nil && len(warnings) > 0 {
		err = fmt.Errorf("warnings: %v", warnings)
	}
	return adapted, err
}

// FreeAddresses returns loopback addresses that nobody listened on just now.
func FreeAddresses(t *testing.T, count int) []string {
	t.Helper()
	var addresses []string
	for range count {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() //nolint:gocritic // all at the end, or one could be found twice
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses
}

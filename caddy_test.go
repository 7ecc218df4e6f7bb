// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-xai/caddy-xai-ephemeral-token"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

// testKey is the API key that the tests' upstreams accept.
const testKey = "xai-test-key-0123456789abcdef"

func TestMain(m *testing.M) {
	beCaddy()
	goleak.VerifyTestMain(m,
		// CertMagic's storage notices only every 5 seconds that a lock is gone.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
	)
}

// caddyServer is the Caddy of this process, serving a test's config over HTTP.
type caddyServer struct {
	t      *testing.T
	url    string // of the first site
	url2   string // of the second site, for configs that have one
	admin  string // of the admin API
	dir    string // for the test's files, caddy.log among them
	client *http.Client
	names  *strings.Replacer
	loads  int
}

// startCaddy serves a Caddyfile until the test ends. In it SITE and SITE2 stand
// for the addresses of its sites, PORT for the port of the first, ADMIN for the
// address of the admin API, DIR for a directory of the test, and UPSTREAM for the
// endpoint at the upstream. All that Caddy logs, from DEBUG up, goes to a file.
func startCaddy(t *testing.T, upstream *upstream, config string) *caddyServer {
	t.Helper()
	return startCaddyBy(t, upstream, func(s *caddyServer) error { return s.load(config) })
}

// startCaddyBy is startCaddy for a config that load knows.
func startCaddyBy(t *testing.T, upstream *upstream, load func(*caddyServer) error) *caddyServer {
	t.Helper()
	s := &caddyServer{t: t, dir: t.TempDir(), client: newHTTPClient(t)}
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
			return s
		}
		// Somebody else may have taken a port since it was found free.
		if !errors.Is(err, syscall.EADDRINUSE) || attempt == 5 {
			t.Fatalf("loading config: %v", err)
		}
	}
}

func (s *caddyServer) chooseAddresses(upstream *upstream) {
	addresses := freeAddresses(s.t, 3)
	first, second, admin := addresses[0], addresses[1], addresses[2]
	s.url, s.url2, s.admin = "http://"+first, "http://"+second, "http://"+admin
	endpoint := ""
	if upstream != nil {
		endpoint = upstream.endpoint()
	}
	s.names = strings.NewReplacer(
		"SITE2", second, "SITE", first, "PORT", first[strings.LastIndex(first, ":")+1:],
		"ADMIN", admin, "UPSTREAM", endpoint,
		"DIR", filepath.ToSlash(s.dir))
}

// globalOptions keep a test's Caddy away from the machine it runs on.
const globalOptions = `{
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

// load replaces the running config, as a reload does.
func (s *caddyServer) load(config string) error {
	s.t.Helper()
	return s.loadVerbatim(s.names.Replace(globalOptions + config))
}

func (s *caddyServer) loadVerbatim(config string) error {
	s.t.Helper()
	adapted, err := adapt(config)
	if err != nil {
		return err
	}
	s.loads++
	return caddy.Load(adapted, true)
}

func adapt(config string) ([]byte, error) {
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(
		caddyfile.Format([]byte(config)), map[string]any{"filename": "Caddyfile"})
	return adapted, err
}

// freeAddresses returns loopback addresses that nobody listened on just now.
func freeAddresses(t *testing.T, count int) []string {
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

func newHTTPClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

// do sends a request without a body. Headers are given as name, value pairs.
func (s *caddyServer) do(method, url string, header ...string) answer {
	s.t.Helper()
	req, err := newRequest(s.t.Context(), method, url, header...)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.send(req)
}

// try is do for goroutines other than the test's: it returns what went wrong.
func (s *caddyServer) try(ctx context.Context, method, url string, header ...string) (answer, error) {
	req, err := newRequest(ctx, method, url, header...)
	if err != nil {
		return answer{}, err
	}
	return s.roundTrip(req)
}

func newRequest(ctx context.Context, method, url string, header ...string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return req, nil
}

func (s *caddyServer) send(req *http.Request) answer {
	s.t.Helper()
	got, err := s.roundTrip(req)
	for start := time.Now(); err != nil && s.loads > 1 && time.Since(start) < 2*time.Second; {
		// A reload costs some new connections, whatever the config.
		got, err = s.roundTrip(req)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s *caddyServer) roundTrip(req *http.Request) (answer, error) {
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp, string(body)}, err
}

// post asks the first site for a token at /session.
func (s *caddyServer) post(header ...string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, s.url+"/session", header...)
}

// logged returns the log entries of the plugin so far.
func (s *caddyServer) logged() []map[string]any {
	s.t.Helper()
	var entries []map[string]any
	scanner := bufio.NewScanner(strings.NewReader(s.readFile("caddy.log")))
	for scanner.Scan() {
		var entry map[string]any
		if err := json.Unmarshal(scanner.Bytes(), &entry); err != nil {
			continue // a line that is being written
		}
		if entry["logger"] == "http.handlers.xai_ephemeral_token" {
			entries = append(entries, entry)
		}
	}
	return entries
}

// readFile returns the content of a file in the test's directory, nothing while
// there is none.
func (s *caddyServer) readFile(name string) string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(content)
}

// writeFile puts a file into the test's directory.
func (s *caddyServer) writeFile(name, content string) {
	s.t.Helper()
	writeFile(s.t, filepath.Join(s.dir, name), content)
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// eventually polls until condition holds, and fails the test when it does not
// within some seconds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// upstream is the sandbox served over HTTP, with a record of what reached it.
type upstream struct {
	*sandbox.Server
	server *httptest.Server

	mu       sync.Mutex
	received []received
}

// received is a request as it reached the upstream.
type received struct {
	*http.Request
	body string
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{Server: &sandbox.Server{APIKey: testKey}}
	u.server = httptest.NewServer(u)
	t.Cleanup(u.server.Close)
	return u
}

func (u *upstream) endpoint() string {
	return u.server.URL + "/v1/realtime/client_secrets"
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	u.mu.Lock()
	u.received = append(u.received, received{r.Clone(r.Context()), string(body)})
	u.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	u.Server.ServeHTTP(w, r)
}

// requests returns what reached the upstream so far.
func (u *upstream) requests() []received {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.received
}

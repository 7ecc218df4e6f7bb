// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-xai/caddy-xai-ephemeral-token"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

const (
	testKey = "xai-test-key-0123456789abcdef"

	// signedIn is the header by which the tests' sign-in service knows visitors.
	signedIn = "X-Signed-In"
)

// world is what a site of the tests stands in: xAI, an application, a service that
// signs visitors in, and files.
type world struct {
	xai, app, auth *httptest.Server
	minted         atomic.Int32
	files          string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{files: t.TempDir()}
	mint := &sandbox.Server{APIKey: testKey}
	w.xai = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.minted.Add(1)
		mint.ServeHTTP(rw, r)
	}))
	w.app = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, "the application")
	}))
	w.auth = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get(signedIn) == "" {
			rw.Header().Set("Location", "/login")
			rw.WriteHeader(http.StatusFound)
		}
	}))
	for _, server := range []*httptest.Server{w.xai, w.app, w.auth} {
		t.Cleanup(server.Close)
	}
	for _, name := range []string{"index.html", "index.php", "about.html", "static/app.js"} {
		writeFile(t, filepath.Join(w.files, name), "a file")
	}
	return w
}

func writeFile(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// setEnv sets what Caddyfiles of the tests expect.
func (w *world) setEnv(t *testing.T, address string) {
	t.Helper()
	for name, value := range map[string]string{
		"XAI_API_KEY":  testKey,
		"XAI_URL":      w.xai.URL,
		"APP":          strings.TrimPrefix(w.app.URL, "http://"),
		"AUTH":         strings.TrimPrefix(w.auth.URL, "http://"),
		"SITE_ROOT":    filepath.ToSlash(w.files),
		"SITE_ADDRESS": "http://" + address,
	} {
		t.Setenv(name, value)
	}
}

// site is a Caddyfile that is served.
type site struct {
	t       *testing.T
	world   *world
	address string
	client  *http.Client
	log     string
	config  []byte
}

// anyPort is the port that the Caddyfiles of the tests name.
var anyPort = regexp.MustCompile(`:8000\b`)

// newSite returns a site that has an address and nothing else yet.
func newSite(t *testing.T, w *world) *site {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s := &site{t: t, world: w, log: filepath.Join(t.TempDir(), "caddy.log"), address: freeAddress(t), client: &http.Client{
		Transport:     transport,
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	w.setEnv(t, s.address)
	return s
}

// serve loads a Caddyfile, and serves it until the test ends.
func (w *world) serve(t *testing.T, config string) *site {
	t.Helper()
	s := newSite(t, w)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	for attempt := 1; ; attempt++ {
		s.config = s.adapt(config)
		err := caddy.Load(s.config, true)
		if err == nil {
			return s
		}
		// Somebody else may have taken the port since it was found free.
		if !errors.Is(err, syscall.EADDRINUSE) || attempt == 5 {
			t.Fatal(err)
		}
		s.address = freeAddress(t)
		w.setEnv(t, s.address)
	}
}

// validate does what caddy validate does.
func (s *site) validate(config []byte) {
	s.t.Helper()
	var parsed caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		s.t.Fatal(err)
	}
	if err := caddy.Validate(&parsed); err != nil {
		s.t.Fatal(err)
	}
}

// adapt turns a Caddyfile into a config that leaves the machine alone. Global
// options of its own come first in the file, as they must.
func (s *site) adapt(config string) []byte {
	s.t.Helper()
	port := s.address[strings.LastIndex(s.address, ":"):]
	config = anyPort.ReplaceAllString(config, port)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(caddyfile.Format([]byte(config)), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		s.t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(adapted, &tree); err != nil {
		s.t.Fatal(err)
	}
	servers, _ := tree["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any)
	for _, server := range servers {
		listen := server.(map[string]any)["listen"].([]any)
		for i, address := range listen {
			listen[i] = "127.0.0.1" + address.(string)[strings.LastIndex(address.(string), ":"):]
		}
	}
	tree["admin"] = map[string]any{"disabled": true, "config": map[string]any{"persist": false}}
	tree["storage"] = map[string]any{"module": "file_system", "root": s.t.TempDir()}
	tree["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{
		"writer":  map[string]any{"output": "file", "filename": s.log, "roll": false},
		"encoder": map[string]any{"format": "json"},
		"level":   "DEBUG",
	}}}
	adapted, err = json.Marshal(tree)
	if err != nil {
		s.t.Fatal(err)
	}
	return adapted
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().String()
	return "localhost" + port[strings.LastIndex(port, ":"):]
}

// warnings returns what the handler said so far, at which level ever.
func (s *site) warnings() []string {
	s.t.Helper()
	content, err := os.ReadFile(s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	var said []string
	for scanner := bufio.NewScanner(strings.NewReader(string(content))); scanner.Scan(); {
		var entry struct{ Level, Logger, Msg string }
		if json.Unmarshal(scanner.Bytes(), &entry) == nil && entry.Logger == "http.handlers.xai_ephemeral_token" && entry.Level == "warn" {
			said = append(said, entry.Msg)
		}
	}
	return said
}

// mints asks for a token, and reports whether one was minted.
func (s *site) mints(host, path string, header ...string) bool {
	s.t.Helper()
	before := s.world.minted.Load()
	status, _ := s.ask(http.MethodPost, host, path, header...)
	got := s.world.minted.Load() - before
	if isToken := status == http.StatusOK && got == 1; got > 1 || !isToken && got != 0 {
		s.t.Errorf("%s minted %d tokens, with status %d", path, got, status)
	}
	return got == 1
}

// ask returns the status and the header of an answer.
func (s *site) ask(method, host, path string, header ...string) (int, http.Header) {
	s.t.Helper()
	port := s.address[strings.LastIndex(s.address, ":"):]
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://127.0.0.1"+port+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = cmp.Or(host, s.address)
	for pair := range slices.Chunk(header, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header
}

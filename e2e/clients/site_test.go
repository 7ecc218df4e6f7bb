// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	_ "github.com/caddy-xai/caddy-xai-ephemeral-token"
	_ "github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

const (
	examples = "../../examples/clients"

	globalOptions = `{
	admin off
	persist_config off
	skip_install_trust
	default_bind 127.0.0.1
	storage file_system {$STORAGE}
	log {
		output discard
	}
}
`
	// xAI's API, without TLS for the plugin and with it for the libraries, some of
	// which take nothing else.
	api = `
{$XAI_URL} {
	xai_sandbox
}
{$XAI_TLS} {
	tls internal
	reverse_proxy {$XAI_URL}
}
`
)

// site is the Caddyfile of examples/clients in the Caddy of this process, with the
// sandbox in place of xAI.
type site struct {
	url  string // of the site
	xai  string // host and port of the API
	dir  string // the site's pages: the examples and the programs that test them
	root string // the certificate that vouches for the API
}

// serve runs until the test ends.
func serve(t *testing.T) *site {
	t.Helper()
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	example, err := os.ReadFile(filepath.Join(examples, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	const first = "	xai_ephemeral_token /session {"
	pages := strings.Replace(string(example), first, "	root {$PAGES}\n	file_server\n"+first, 1)
	if pages == string(example) {
		t.Fatalf("the example has no %q", first)
	}
	storage := t.TempDir()
	s := &site{dir: t.TempDir(), root: filepath.Join(storage, "pki", "authorities", "local", "root.crt")}
	t.Setenv("STORAGE", storage)
	t.Setenv("PAGES", s.dir)
	t.Setenv("XAI_API_KEY", "any-key")
	for attempt := 1; ; attempt++ {
		ports := freePorts(t, 3)
		s.url, s.xai = "http://localhost:"+ports[0], "localhost:"+ports[2]
		t.Setenv("SITE_ADDRESS", s.url)
		t.Setenv("XAI_URL", "http://localhost:"+ports[1])
		t.Setenv("XAI_TLS", "https://"+s.xai)
		t.Setenv("REALTIME_URL", "wss://"+s.xai+"/v1/realtime")
		config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(globalOptions+pages+api), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err = caddy.Load(config, true); err == nil {
			break
		}
		// Somebody else may have taken a port since it was found free.
		if !errors.Is(err, syscall.EADDRINUSE) || attempt == 5 {
			t.Fatalf("loading the config: %v", err)
		}
	}
	s.copyPrograms(t)
	return s
}

// copyPrograms copies the examples, what tests them, and token.js. The addresses in
// them become those of this site and of the sandbox: nothing else is changed.
func (s *site) copyPrograms(t *testing.T) {
	t.Helper()
	addresses := strings.NewReplacer("://api.x.ai", "://"+s.xai, "https://voice.example.com", s.url)
	files := []string{"../../examples/voice/token.js"}
	for _, pattern := range []string{examples + "/*.mjs", examples + "/*.jsx", examples + "/*.py", "*.mjs", "*.jsx", "*.py"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, filepath.Base(file), addresses.Replace(string(content)))
	}
	s.write(t, "package.json", `{"type": "module"}`)
	modules, err := filepath.Abs("node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(s.dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
}

func (s *site) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// environ is what a program needs to know.
func (s *site) environ() []string {
	return append(os.Environ(),
		"SESSION_URL="+s.url+"/session",
		"REALTIME_URL=wss://"+s.xai+"/v1/realtime",
		"NODE_EXTRA_CA_CERTS="+s.root, // for Node
		"SSL_CERT_FILE="+s.root,       // for Python
	)
}

func freePorts(t *testing.T, count int) []string {
	t.Helper()
	var ports []string
	for range count {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() //nolint:gocritic // all at the end, or one could be found twice
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
	}
	return ports
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// asCommand is the environment variable that makes of the test's binary the command.
const asCommand = "XAITOKEN_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// command prepares one of the command's own commands, at the top of the repository
// and with a home of its own. A process that goes on is killed when
// the test ends.
func command(t *testing.T, args ...string) (*exec.Cmd, *output) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	printed := new(output)
	command := exec.CommandContext(t.Context(), binary, args...) //nolint:gosec // our own binary
	command.Dir = filepath.Join("..", "..")
	command.Stdout, command.Stderr = printed, printed
	command.WaitDelay = time.Second // should it leave a process in the background
	command.Env = append(os.Environ(), asCommand+"=yes", "HOME="+home,
		"XDG_DATA_HOME="+filepath.Join(home, "data"), "XDG_CONFIG_HOME="+filepath.Join(home, "config"))
	return command, printed
}

// output is what a process has printed so far.
type output struct {
	mu      sync.Mutex
	printed bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.printed.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.printed.String()
}

// writeConfig writes a Caddyfile, or JSON.
func writeConfig(t *testing.T, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// quickstartConfig is the quickstart with other ports.
func quickstartConfig(t *testing.T, page, sandbox string) (path string) {
	t.Helper()
	content, err := os.ReadFile("../../examples/quickstart/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	return writeConfig(t, "Caddyfile", strings.NewReplacer("8080", page, "8081", sandbox).Replace(string(content)))
}

// start runs a config until the test ends, and waits until it answers at an address.
func start(t *testing.T, config, address string) *output {
	t.Helper()
	process, output := command(t, "run", "--config", config)
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Wait() // when t.Context has ended it
		if t.Failed() {
			t.Log(output)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			return output
		}
		<-pause.C
	}
	t.Fatalf("nobody answers at %s", address)
	return nil
}

// mustRefuse fails unless the command ends at once and says which address is taken.
func mustRefuse(t *testing.T, address string, args ...string) {
	t.Helper()
	process, output := command(t, args...)
	ended := time.AfterFunc(20*time.Second, func() { _ = process.Process.Kill() })
	defer ended.Stop()
	err := process.Run()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v, want status 1", err)
	}
	if !strings.Contains(output.String(), address) || !strings.Contains(output.String(), "address already in use; is another Caddy still running?") {
		t.Errorf("it does not say that %s is taken:\n%s", address, output)
	}
	if strings.Contains(output.String(), "serving initial configuration") {
		t.Errorf("it served:\n%s", output)
	}
}

// TestSecondQuickstart forgets a quickstart in another terminal.
func TestSecondQuickstart(t *testing.T) {
	skipWhereSystemRefuses(t)
	page, sandbox := freePorts(t)
	config := quickstartConfig(t, page, sandbox)
	start(t, config, "127.0.0.1:"+page)
	mustRefuse(t, "127.0.0.1:", "run", "--config", config)

	t.Run("where only the page is shared", func(t *testing.T) {
		_, other := freePorts(t)
		mustRefuse(t, "127.0.0.1:"+page, "run", "--config", quickstartConfig(t, page, other))
	})
	t.Run("where only the sandbox is shared", func(t *testing.T) {
		other, _ := freePorts(t)
		mustRefuse(t, "127.0.0.1:"+sandbox, "run", "--config", quickstartConfig(t, other, sandbox))
	})
	t.Run("in the background", func(t *testing.T) {
		other, admin := freePorts(t)
		admin = "127.0.0.1:" + admin
		config := writeConfig(t, "Caddyfile", "{\nadmin "+admin+"\n}\nhttp://:"+page+", http://:"+other)
		mustRefuse(t, ":"+page, "start", "--config", config)
		if t.Failed() {
			stop, output := command(t, "stop", "--address", admin)
			t.Log(stop.Run(), output)
		}
	})
	t.Run("on other ports is let in", func(t *testing.T) {
		page, sandbox := freePorts(t)
		start(t, quickstartConfig(t, page, sandbox), "127.0.0.1:"+page)
	})
}

func TestLookBeforeListening(t *testing.T) {
	skipWhereSystemRefuses(t)
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TAKEN_PORT", port)
	t.Setenv("CADDY_ADMIN", "127.0.0.1:1")
	socket := filepath.Join(t.TempDir(), "taken.sock")
	behind, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer behind.Close()

	for name, test := range map[string]struct {
		file, config string
		taken        string // the address that is refused, if one is
	}{
		"a site":                                  {"Caddyfile", "{\nadmin off\n}\nhttp://127.0.0.1:" + port + " {\nbind 127.0.0.1\n}", address},
		"every interface":                         {"Caddyfile", "{\nadmin off\n}\n:" + port, ":" + port},
		"one of several sites":                    {"Caddyfile", "{\nadmin off\n}\n:0 {\n}\nhttp://localhost:" + port + " {\nbind 127.0.0.1\n}", address},
		"one of a range":                          {"a.json", `{"admin": {"disabled": true}, "apps": {"http": {"servers": {"s": {"listen": ["127.0.0.1:` + port + "-" + port + `"]}}}}}`, address},
		"a placeholder":                           {"a.json", `{"admin": {"disabled": true}, "apps": {"http": {"servers": {"s": {"listen": ["127.0.0.1:{env.TAKEN_PORT}"]}}}}}`, address},
		"the admin API":                           {"Caddyfile", "{\nadmin " + address + "\n}", address},
		"a Unix socket":                           {"Caddyfile", "{\nadmin off\n}\n:0 {\nbind unix/" + socket + "|0222\n}", socket},
		"an address that nobody has":              {"Caddyfile", "{\nadmin off\n}\nhttp://127.0.0.1:0", ""},
		"a Unix socket that was left":             {"Caddyfile", "{\nadmin off\n}\n:0 {\nbind unix/" + socket + ".left\n}", ""},
		"an admin API that is off":                {"a.json", `{"admin": {"disabled": true, "listen": "` + address + `"}}`, ""},
		"a file descriptor":                       {"Caddyfile", "{\nadmin off\n}\n:0 {\nbind fd/3\n}", ""},
		"a broken Caddyfile, for Caddy to report": {"Caddyfile", ":" + port + " {", ""},
		"broken JSON, for Caddy to report":        {"a.json", `{"apps": {"http": 1}, "admin": {"listen": "` + address + `"}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(socket+".left", nil, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
				t.Fatal(err)
			}
			err := lookBeforeListening([]string{"run", "--config", writeConfig(t, test.file, test.config)})
			switch {
			case test.taken == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.taken != "" && (err == nil || !strings.Contains(err.Error(), test.taken)):
				t.Errorf("got %v, want an error that names %s", err, test.taken)
			}
		})
	}

	config := writeConfig(t, "Caddyfile", "{\nadmin off\n}\n:"+port)
	for name, test := range map[string]struct {
		args    []string
		refused bool
	}{
		"run":                           {[]string{"run", "--config", config, "--adapter", "caddyfile"}, true},
		"run, with short flags":         {[]string{"run", "-c", config, "-w"}, true},
		"reload, which changes a Caddy": {[]string{"reload", "--config", config}, false},
		"validate, which never listens": {[]string{"validate", "--config", config}, false},
		"a config that comes by a pipe": {[]string{"run", "--config", "-", "--adapter", "caddyfile"}, false},
		"variables of a file":           {[]string{"run", "--config", config, "--envfile", config}, false},
		"a flag that there is not":      {[]string{"run", "--confg", config}, false},
		"nothing":                       {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := lookBeforeListening(test.args); (err != nil) != test.refused {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestReloadOfARunningCaddy is about the one that listens there itself.
func TestReloadOfARunningCaddy(t *testing.T) {
	site, admin := freePorts(t)
	site, admin = "127.0.0.1:"+site, "127.0.0.1:"+admin
	config := writeConfig(t, "Caddyfile", "{\nadmin "+admin+"\n}\nhttp://"+site+" {\nbind 127.0.0.1\nrespond ok\n}")
	start(t, config, site)
	reload, output := command(t, "reload", "--config", config, "--force")
	if err := reload.Run(); err != nil {
		t.Errorf("%v:\n%s", err, output)
	}
}

// skipWhereSystemRefuses skips on Windows, where two processes cannot share an
// address, and the second Caddy ends with an error of the system's own.
func skipWhereSystemRefuses(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows refuses the second by itself")
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) {
	caddytest.Main(m)
}

// server is a redis-server of a test.
type server struct {
	t       testing.TB
	address string
	socket  string
	args    []string
	process *exec.Cmd
	output  *bytes.Buffer
	exited  chan error
	client  *redis.Client // of the test, to look what is there
}

// startServer starts a redis-server that ends with the test.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("REDIS_REQUIRE") != "" {
			t.Fatal("REDIS_REQUIRE is set, and there is no redis-server")
		}
		t.Skip("there is no redis-server: install the package of that name to run this test")
	}
	dir := t.TempDir()
	s := &server{t: t, socket: filepath.Join(dir, "redis.sock")}
	s.args = append(slices.Clone(args), "--bind", "127.0.0.1", "--dir", dir, "--unixsocket", s.socket)
	if !slices.Contains(args, "--sentinel") {
		s.args = append(s.args, "--save", "")
	}
	s.client = redis.NewClient(&redis.Options{Addr: s.socket, MaxRetries: -1})
	t.Cleanup(func() {
		_ = s.client.Close()
		s.stop()
	})
	// Somebody else may take the port before the server does.
	for attempt := 1; ; attempt++ {
		s.address = freeAddress(t)
		err := s.start()
		if err == nil {
			return s
		}
		if attempt == 5 {
			t.Fatalf("%v\n%s", err, s.output)
		}
	}
}

// startSentinel starts a sentinel with a config of its own.
func startSentinel(t testing.TB, config string) *server {
	t.Helper()
	return startServer(t, config, "--sentinel")
}

// signedIn returns a client with a password.
func (s *server) signedIn(password string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.socket, Password: password, MaxRetries: -1})
}

// start starts the server again, at the same addresses, and waits until it answers.
func (s *server) start() error {
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	s.output = new(bytes.Buffer)
	s.process = exec.Command("redis-server", append(s.args, "--port", port)...) //nolint:gosec,noctx // of the test; ended by stop
	s.process.Stdout, s.process.Stderr = s.output, s.output
	if err := s.process.Start(); err != nil {
		return err
	}
	s.exited = make(chan error, 1)
	go func() { s.exited <- s.process.Wait() }()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		select {
		case err := <-s.exited:
			s.exited <- err
			return fmt.Errorf("redis-server ended: %w", err)
		default:
		}
		err := s.client.Ping(context.Background()).Err()
		if err == nil || redis.IsAuthError(err) {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.New("redis-server does not answer")
}

func (s *server) restart() {
	s.t.Helper()
	s.stop()
	if err := s.start(); err != nil {
		s.t.Fatalf("%v\n%s", err, s.output)
	}
}

// stop kills the server, as a crash would.
func (s *server) stop() {
	if s.process == nil || s.process.Process == nil {
		return
	}
	_ = s.process.Process.Kill()
	err := <-s.exited
	s.exited <- err
}

// redis runs a command and returns its reply.
func (s *server) redis(args ...any) any {
	s.t.Helper()
	reply, err := s.client.Do(context.Background(), args...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return reply
}

// tokens returns how many tokens the server holds of all clients and limits, but not
// those that ask whether it works.
func (s *server) tokens() (count int64) {
	s.t.Helper()
	for _, key := range s.keys() {
		if ttl := s.redis("PTTL", key).(int64); ttl > 2000 {
			count += s.redis("ZCARD", key).(int64)
		}
	}
	return count
}

func (s *server) keys() (keys []string) {
	s.t.Helper()
	for _, key := range s.redis("KEYS", "*").([]any) {
		keys = append(keys, key.(string))
	}
	return keys
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came that %s", what)
		}
	}
}

func quote(text string) string { return strconv.Quote(text) }

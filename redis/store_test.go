// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit/limittest"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	_ "github.com/caddyserver/caddy/v2/modules/logging" // the file that is read here

	redislimit "github.com/caddy-xai/caddy-xai-ephemeral-token/redis"
)

const storeModule = "http.xai_ephemeral_token.limit_store.redis"

// options is a store's JSON.
type options map[string]any

// store is a store of a config that ends with the test.
type store struct {
	*redislimit.Store
	t       testing.TB
	logFile string
	start   func()
	unload  context.CancelFunc
}

// newStore loads a store as Caddy does. Its config does not run yet.
func newStore(t testing.TB, options options) *store {
	t.Helper()
	s, err := loadStore(t, options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// provisioning is held while Caddy makes a context, for which it sets variables of its
// own.
var provisioning sync.Mutex

func loadStore(t testing.TB, options options) (*store, error) {
	t.Helper()
	s := &store{t: t, logFile: filepath.Join(t.TempDir(), "caddy.log")}
	config := &caddy.Config{Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{
		WriterRaw:  json.RawMessage(`{"output": "file", "roll": false, "filename": ` + quote(s.logFile) + `}`),
		EncoderRaw: json.RawMessage(`{"format": "json"}`),
		Level:      "DEBUG",
	}}}}}
	provisioning.Lock()
	provisioned, err := caddy.ProvisionContext(config)
	provisioning.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(provisioned)
	s.unload = cancel
	t.Cleanup(cancel)
	encoded, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	module, err := ctx.LoadModuleByID(storeModule, encoded)
	if err != nil {
		return nil, err
	}
	s.Store = module.(*redislimit.Store)
	s.start = func() {
		events, err := ctx.App("events")
		if err != nil {
			t.Fatal(err)
		}
		events.(*caddyevents.App).Emit(ctx, "started", nil)
	}
	return s, nil
}

// at returns the options of a store at an address, with further options.
func at(address string, further ...any) options {
	all := options{"addresses": []string{address}}
	for i := 0; i < len(further); i += 2 {
		all[further[i].(string)] = further[i+1]
	}
	return all
}

// hourly is a claim of a limit that lasts longer than the test.
func hourly(count int) limit.Claim {
	return limit.Claim{Limit: limit.Limit{Count: count, Window: time.Hour}, Client: "alice"}
}

// ask takes a token, and reports whether there was one. It must be quick about it.
func (s *store) ask(claims ...limit.Claim) (limit.Taken, error) {
	s.t.Helper()
	asked := time.Now()
	taken, err := s.Take(context.Background(), "scope", claims)
	// The longest timeout of these tests, and a machine that is busy with others.
	if took := time.Since(asked); took > 3*time.Second {
		s.t.Errorf("the answer took %s", took)
	}
	return taken, err
}

func (s *store) take(claims ...limit.Claim) limit.Taken {
	s.t.Helper()
	taken, err := s.ask(claims...)
	if err != nil {
		s.t.Fatal(err)
	}
	return taken
}

// fails reports whether the store does not work.
func (s *store) fails(claims ...limit.Claim) bool {
	s.t.Helper()
	_, err := s.ask(claims...)
	_, refused := errors.AsType[*limit.RefusedError](err)
	return err != nil && !refused
}

// takeAll takes until it is refused, and returns how often it was not.
func (s *store) takeAll(claim limit.Claim) (taken int) {
	s.t.Helper()
	for {
		_, err := s.ask(claim)
		if _, refused := errors.AsType[*limit.RefusedError](err); refused {
			return taken
		}
		if err != nil {
			s.t.Fatal(err)
		}
		taken++
	}
}

// log returns the lines of the log that have a text.
func (s *store) log(text string) (lines []string) {
	s.t.Helper()
	content, err := os.ReadFile(s.logFile)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestStore(t *testing.T) {
	server := startServer(t)
	// The server's time is real, and as good as the same as this process's.
	limittest.Run(t, 250*time.Millisecond, func(t *testing.T, test func(*testing.T, limit.Store)) {
		t.Helper()
		t.Parallel()
		test(t, newStore(t, at(server.address, "prefix", t.Name())))
	})
}

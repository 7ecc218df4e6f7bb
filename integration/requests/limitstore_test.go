// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package requests

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

func init() {
	caddy.RegisterModule(new(brittleStore))
	caddy.RegisterModule(new(noStore))
}

// brittleStore is a store that somebody else may have written. It works until it is
// told not to.
type brittleStore struct {
	Name string `json:"name,omitempty"`

	*limit.Memory
}

var storeIsBroken atomic.Bool

func (*brittleStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.xai_ephemeral_token.limit_store.brittle",
		New: func() caddy.Module { return &brittleStore{Memory: limit.NewMemory()} },
	}
}

func (s *brittleStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.Args(&s.Name) {
		return d.ArgErr()
	}
	return nil
}

func (s *brittleStore) Take(ctx context.Context, scope string, claims []limit.Claim) (limit.Taken, error) {
	if storeIsBroken.Load() {
		return nil, errors.New("a pipe has burst")
	}
	return s.Memory.Take(ctx, scope, claims)
}

// noStore is no store, though its name says so.
type noStore struct{}

func (*noStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.xai_ephemeral_token.limit_store.none",
		New: func() caddy.Module { return new(noStore) },
	}
}

func (*noStore) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

func TestLimitStore(t *testing.T) {
	up := caddytest.NewUpstream(t)
	s := caddytest.Start(t, up, caddytest.Site("rate_limit 2 1h", "limit_store brittle vase", "retries 0"))
	caddytest.DecodeToken(t, s.Post())
	up.Script(sandbox.Status(http.StatusNotFound))
	if got := s.Post(); got.StatusCode != http.StatusBadGateway {
		t.Fatalf("got %d, want 502", got.StatusCode)
	}
	caddytest.DecodeToken(t, s.Post()) // what failed was given back
	if got := s.Post(); got.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("got %d, want 429", got.StatusCode)
	}

	const metric = `caddy_xai_ephemeral_token_errors_total{reason="limit_store"}`
	before, calls := s.Metrics()[metric], len(up.Requests())
	storeIsBroken.Store(true)
	defer storeIsBroken.Store(false)
	got := s.Post()
	if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "1" {
		t.Errorf("got %d with Retry-After %q, want 503 with 1", got.StatusCode, got.Header.Get("Retry-After"))
	}
	if got := s.Metrics()[metric]; got != before+1 {
		t.Errorf("the metric went from %g to %g", before, got)
	}
	logged := s.Logged()
	if last := logged[len(logged)-1]; last["level"] != "debug" || last["msg"] != "rate limits are unavailable" ||
		last["limit_store_error"] != "a pipe has burst" {
		t.Errorf("logged %v", last)
	}
	if len(up.Requests()) != calls {
		t.Error("xAI was called")
	}
}

func TestLimitStoreErrors(t *testing.T) {
	for option, want := range map[string]string{
		"limit_store brittle": "wrong argument count or unexpected line ending after 'brittle', at Caddyfile:",
		"limit_store none":    "limit_store: module *requests.noStore cannot count limits",
		"limit_store brittle vase\n\t\tlimit_store brittle vase": "limit_store is given twice",
		"limit_store brittle vase\n\t\trate_limit off":           "limit_store: there is nothing to count with rate_limit off",
	} {
		t.Run(option, func(t *testing.T) {
			s := caddytest.Start(t, caddytest.NewUpstream(t), caddytest.Site())
			if err := s.Load(caddytest.Site(option)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package redislimit counts the limits of xai_ephemeral_token in Redis or Valkey, so
// that they hold over any number of Caddys, and over restarts of them.
package redislimit

import (
	"context"
	"strconv"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

func init() {
	caddy.RegisterModule(new(Store))
}

const (
	defaultPrefix  = "xai_ephemeral_token"
	defaultTimeout = 500 * time.Millisecond

	onErrorDeny  = "deny"
	onErrorLocal = "local"
)

// Store counts limits in Redis 5 or newer, or in Valkey, exactly over all who use
// the same one.
//
// The server must not evict what it counts (`maxmemory-policy noeviction`), and
// keeps it over its own restarts as far as its persistence goes. A failover to a
// replica that missed writes can let that many more tokens through.
//
// While the server does not answer, it is asked once a second, and requests are
// answered at once, as `on_error` says.
type Store struct {
	// Where the server is: `host:port`, or a `redis://`, `rediss://` (TLS) or
	// `unix://` URL, which can hold a user name, a password and the number of a
	// database. Several only with `sentinel` or `cluster`. Global placeholders such as
	// `{env.*}` are expanded when the config is loaded. Required.
	Addresses []string `json:"addresses,omitempty"`

	// The user to sign in as, for servers that know users. Global placeholders are
	// expanded when the config is loaded.
	Username string `json:"username,omitempty"`

	// The password to sign in with. Global placeholders are expanded when the config
	// is loaded, `{env.*}` and `{file.*}` among them. A literal one is warned of,
	// since everybody who can read the config can read it.
	Password string `json:"password,omitempty"`

	// The number of the database. Default: 0.
	DB int `json:"db,omitempty"`

	// How long a request may wait for the server. Default: `500ms`.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// What all keys in the server begin with. Default: `xai_ephemeral_token`.
	Prefix string `json:"prefix,omitempty"`

	// A name under which handlers share their limits, those with the same window and
	// key, whatever hosts and paths lead to them. Default: none, so that handlers
	// share limits that the same hosts and paths lead to.
	Scope string `json:"scope,omitempty"`

	// The name of the master that Sentinel watches. The addresses are those of the
	// sentinels, which must not ask for a password of their own.
	Sentinel string `json:"sentinel,omitempty"`

	// Whether the server is a cluster. The addresses are those of some of its nodes.
	// Default: false.
	Cluster bool `json:"cluster,omitempty"`

	// Connects with TLS, and how. Default: TLS for `rediss://` only, with the system's
	// certificate authorities.
	TLS *TLS `json:"tls,omitempty"`

	// What to do while the server does not answer: `deny` refuses all requests with
	// 503; `local` counts in this process's memory meanwhile, which can let the limit
	// through once for each process. Default: `deny`.
	OnError string `json:"on_error,omitempty"`

	logger  *zap.Logger
	client  *sharedClient
	clock   *clock
	watch   *watch
	pending *giveBacks

	// What counts while the server does not answer, nil if nothing does, and what it
	// is called in the pool until Cleanup.
	local     *limit.Memory
	localName string
}

// TLS says how to connect with TLS.
type TLS struct {
	// A file of PEM certificates, one of which must have signed the server's. Default:
	// the system's certificate authorities.
	CA string `json:"ca,omitempty"`

	// Files of the PEM certificate and key to sign in with.
	ClientCertificate string `json:"client_certificate,omitempty"`
	ClientKey         string `json:"client_key,omitempty"`

	// The name that the server's certificate must have. Default: the address's host.
	ServerName string `json:"server_name,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.xai_ephemeral_token.limit_store.redis",
		New: func() caddy.Module { return new(Store) },
	}
}

// locals holds, by the options that say which server it is and what is counted there,
// the memories that count while a
// server does not answer: a reload at such a time must not let the limits through
// once more.
var locals = caddy.NewUsagePool()

// pooledMemory can be in a pool.
type pooledMemory struct{ *limit.Memory }

// Destruct does nothing: nobody holds the memory any more.
func (pooledMemory) Destruct() error { return nil }

// Provision prepares to connect. It sends nothing over the network: whether the
// server answers is found out when the config runs.
func (s *Store) Provision(ctx caddy.Context) error {
	s.logger = ctx.Logger()
	if err := s.Validate(); err != nil {
		return err
	}
	s.setDefaults()
	options, err := s.clientOptions()
	if err != nil {
		return err
	}
	s.warnOfLiteralPassword()
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	if err := events.(*caddyevents.App).On("started", started{s}); err != nil {
		return err
	}

	s.client = newSharedClient(func() redis.UniversalClient { return redis.NewUniversalClient(options) })
	s.clock = &clock{start: time.Now()}
	s.pending = new(giveBacks)
	s.watch = newWatch(s.logger.With(zap.Strings("addresses", options.Addrs)), s.OnError, s.check, s.makeUp)
	if s.OnError == onErrorLocal {
		return s.provisionLocal()
	}
	return nil
}

func (s *Store) provisionLocal() error {
	name := limit.Hash(append([]string{strconv.Itoa(s.DB), s.Prefix, s.Scope, s.Sentinel}, s.Addresses...)...)
	local, _, err := locals.LoadOrNew(name, func() (caddy.Destructor, error) {
		return pooledMemory{limit.NewMemory()}, nil
	})
	if err != nil {
		return err
	}
	s.local, s.localName = local.(pooledMemory).Memory, name
	return nil
}

func (s *Store) setDefaults() {
	if s.Timeout == 0 {
		s.Timeout = caddy.Duration(defaultTimeout)
	}
	if s.Prefix == "" {
		s.Prefix = defaultPrefix
	}
	if s.OnError == "" {
		s.OnError = onErrorDeny
	}
}

// Cleanup hangs up. Requests that are still being served are counted as usual.
func (s *Store) Cleanup() error {
	if s.watch != nil {
		s.watch.stop()
	}
	if s.client != nil {
		s.client.retire()
	}
	if s.localName != "" {
		_, err := locals.Delete(s.localName)
		s.localName = ""
		return err
	}
	return nil
}

// started is told when the store's config runs. Only then may anything be sent: a
// config that is validated never runs.
type started struct{ store *Store }

// Handle has the server asked whether it works.
func (s started) Handle(context.Context, caddy.Event) error {
	go s.store.watch.begin()
	return nil
}

// Interface guards
var (
	_ caddy.Module          = (*Store)(nil)
	_ caddy.Provisioner     = (*Store)(nil)
	_ caddy.Validator       = (*Store)(nil)
	_ caddy.CleanerUpper    = (*Store)(nil)
	_ caddyfile.Unmarshaler = (*Store)(nil)
	_ limit.Store           = (*Store)(nil)
	_ caddyevents.Handler   = started{}
)

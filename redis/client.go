// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"context"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	redis.SetLogger(libraryLog{})
}

// libraryLog has what go-redis says of each connection at debug level: it would
// print it otherwise, several lines a second while a server is down.
type libraryLog struct{}

func (libraryLog) Printf(_ context.Context, format string, args ...any) {
	caddy.Log().Named("http.xai_ephemeral_token.limit_store.redis").Debug(fmt.Sprintf(format, args...))
}

// sharedClient is the connections to a server. It hangs up when it is retired and
// nobody uses it any more. Whoever comes later, because a request outlives its
// config, gets connections of its own.
type sharedClient struct {
	connect func() redis.UniversalClient

	mu     sync.Mutex
	client redis.UniversalClient // nil when it has hung up
	users  int                   // the config that is not unloaded yet is one
}

func newSharedClient(connect func() redis.UniversalClient) *sharedClient {
	return &sharedClient{connect: connect, client: connect(), users: 1}
}

// use returns the client, and a function to call when it was used.
func (c *sharedClient) use() (client redis.UniversalClient, release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		own := c.connect()
		return own, func() { _ = own.Close() }
	}
	c.users++
	return c.client, c.release
}

func (c *sharedClient) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
	if c.users == 0 {
		_ = c.client.Close()
		c.client = nil
	}
}

// retire is called once, when the config is unloaded.
func (c *sharedClient) retire() { c.release() }

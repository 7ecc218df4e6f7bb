// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xai

import (
	"context"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// transportContext is the context of one attempt, with what Caddy's transport
// expands placeholders and keeps notes in. Both are new for each attempt, since a
// dial can outlive the attempt that began it, and made when they are asked for,
// which over an open connection is never.
type transportContext struct {
	context.Context //nolint:containedctx // it is itself one

	once     sync.Once
	replacer *caddy.Replacer
	vars     map[string]any
}

// Value implements context.Context.
func (c *transportContext) Value(key any) any {
	switch key {
	case caddy.ReplacerCtxKey:
		c.once.Do(c.prepare)
		return c.replacer
	case caddyhttp.VarsCtxKey:
		c.once.Do(c.prepare)
		return c.vars
	}
	return c.Context.Value(key)
}

func (c *transportContext) prepare() {
	c.replacer, c.vars = caddy.NewReplacer(), make(map[string]any)
}

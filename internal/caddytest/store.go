// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"context"
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/limit"
)

func init() {
	caddy.RegisterModule(new(downStore))
}

// downStore is the store of limits that "limit_store down" names: it never works.
type downStore struct{}

// CaddyModule implements caddy.Module.
func (*downStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.xai_ephemeral_token.limit_store.down",
		New: func() caddy.Module { return new(downStore) },
	}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (*downStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

// Take implements limit.Store.
func (*downStore) Take(context.Context, string, []limit.Claim) (limit.Taken, error) {
	return nil, errors.New("the store is down")
}

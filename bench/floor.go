// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func init() {
	caddy.RegisterModule(floorHandler{})
	httpcaddyfile.RegisterHandlerDirective("floor", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return new(floorHandler), nil
	})
	httpcaddyfile.RegisterDirectiveOrder("floor", httpcaddyfile.Before, "respond")
}

// floorHandler is the least that a Caddy plugin can do for a token: the exchange
// over Caddy's transport, and the answer.
type floorHandler struct {
	server *tokenServer
}

// CaddyModule returns the Caddy module information.
func (floorHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.floor", New: func() caddy.Module { return new(floorHandler) }}
}

// Provision implements caddy.Provisioner.
func (h *floorHandler) Provision(ctx caddy.Context) error {
	transport := new(reverseproxy.HTTPTransport)
	h.server = newTokenServer(transport.RoundTrip)
	return transport.Provision(ctx)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *floorHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	h.server.ServeHTTP(w, r)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*floorHandler)(nil)
	_ caddyhttp.MiddlewareHandler = (*floorHandler)(nil)
)

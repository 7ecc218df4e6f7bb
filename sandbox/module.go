// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const directive = "xai_sandbox"

func init() {
	caddy.RegisterModule(Handler{})
	httpcaddyfile.RegisterHandlerDirective(directive, parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder(directive, httpcaddyfile.Before, "respond")
}

// Handler imitates the part of xAI's API that mints ephemeral tokens and holds
// conversations with them. It is for development, demonstrations and tests: it
// protects nothing, and by default takes any API key.
//
// It answers every request that reaches it, paths that it does not know with
// 404. Its tokens belong to the loaded config: a reload forgets those that were
// not used yet, and ends the open conversations.
type Handler struct {
	// The only API key that is accepted. Global placeholders such as `{env.*}`
	// and `{file.*}` are expanded when the config is loaded, and surrounding white
	// space is trimmed. Default: any key that is not empty.
	APIKey string `json:"api_key,omitempty"`

	// How long each minting takes. Default: 0.
	Latency caddy.Duration `json:"latency,omitempty"`

	server *Server // has what APIKey expands to, which must not become a part of the config
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers." + directive,
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets up the handler.
func (h *Handler) Provision(ctx caddy.Context) error {
	key, err := caddy.NewReplacer().ReplaceOrErr(h.APIKey, true, true)
	if err != nil {
		return fmt.Errorf("api_key: %w", err) // names the placeholder, not a value
	}
	key = strings.TrimSpace(key)
	if key == "" && h.APIKey != "" {
		// With an empty key the sandbox would accept any.
		return fmt.Errorf("api_key: %q is empty", h.APIKey)
	}
	h.server = &Server{
		APIKey:   key,
		Latency:  time.Duration(h.Latency),
		unloaded: ctx.Done(),
	}
	return nil
}

// Validate checks the options.
func (h *Handler) Validate() error {
	if h.Latency < 0 {
		return errors.New("latency: must not be negative")
	}
	return nil
}

// ServeHTTP answers like https://api.x.ai, and never calls the next handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	h.server.ServeHTTP(w, r)
	return nil
}

func parseCaddyfile(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	if err := handler.UnmarshalCaddyfile(helper.Dispenser); err != nil {
		return nil, err
	}
	return handler, nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	xai_sandbox [<matcher>] {
//	    api_key <key>
//	    latency <duration>
//	}
//
// Every option can be given once.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name; Caddy took the matcher away
	if d.CountRemainingArgs() > 0 {
		return d.ArgErr() // a stray word here would hide the whole block
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("%s is given twice", option)
		}
		seen[option] = true
		if err := h.unmarshalOption(d, option); err != nil {
			return err
		}
	}
	return nil
}

func (h *Handler) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "api_key", "latency":
	default:
		return d.Errf("unrecognized subdirective '%s'", option)
	}
	// Counted before it is read, because the error quotes the current token, which
	// must not be a key.
	if d.CountRemainingArgs() != 1 {
		return d.ArgErr()
	}
	d.NextArg()
	if option == "api_key" {
		h.APIKey = d.Val()
		if h.APIKey == "" {
			return d.Err("api_key: the key is empty; leave it out to accept any")
		}
		return nil
	}
	latency, err := caddy.ParseDuration(d.Val())
	if err != nil {
		return d.Errf("latency: %v", err)
	}
	h.Latency = caddy.Duration(latency)
	if err := h.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

var (
	_ http.Handler                = (*Server)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
)

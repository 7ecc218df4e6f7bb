// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const directive = "xai_ephemeral_token"

func init() {
	httpcaddyfile.RegisterHandlerDirective(directive, parseCaddyfile)
	// After authentication, and beside the other handlers that answer.
	httpcaddyfile.RegisterDirectiveOrder(directive, httpcaddyfile.Before, "respond")
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
//	xai_ephemeral_token [<matcher>] [<api_key>] {
//	    api_key         <key>
//	    expires_after   <duration>
//	    session         <json_object>
//	    endpoint        <url>
//	    timeout         <duration>
//	    retries         <count>
//	    methods         <method...>
//	    trusted_origins <origin...>
//	    rate_limit      <count> <window> [<key>] | off
//	    pass_thru
//	    transport <name> {
//	        ...
//	    }
//	}
//
// Every option can be given once. Values out of range are refused here already,
// because only here the line is known.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name; Caddy took the matcher away

	// Arguments are counted before they are read: an error quotes the current
	// token, which must not be a key. One too many would hide the whole block.
	seen := make(map[string]bool)
	switch d.CountRemainingArgs() {
	case 0:
	case 1:
		if err := h.unmarshalAPIKey(d); err != nil {
			return err
		}
		seen["api_key"] = true
	default:
		return d.ArgErr()
	}

	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("%s is given twice", option)
		}
		seen[option] = true
		if err := h.unmarshalOption(d, option); err != nil {
			return err
		}
		if err := h.Validate(); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

func (h *Handler) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "api_key":
		if d.CountRemainingArgs() != 1 {
			return d.ArgErr()
		}
		return h.unmarshalAPIKey(d)
	case "expires_after":
		return unmarshalDuration(d, &h.ExpiresAfter)
	case "session":
		return h.unmarshalSession(d)
	case "endpoint":
		return unmarshalString(d, &h.Endpoint)
	case "timeout":
		return unmarshalDuration(d, &h.Timeout)
	case "retries":
		h.Retries = new(int)
		return unmarshalInt(d, h.Retries)
	case "methods":
		return unmarshalList(d, &h.Methods)
	case "trusted_origins":
		return unmarshalList(d, &h.TrustedOrigins)
	case "rate_limit":
		return h.unmarshalRateLimit(d)
	case "pass_thru":
		if d.NextArg() {
			return d.ArgErr()
		}
		h.PassThru = true
		return nil
	case "transport":
		return h.unmarshalTransport(d)
	default:
		return d.Errf("unrecognized subdirective '%s'", option)
	}
}

// unmarshalAPIKey reads the key, which is known to be there. None of its errors
// quotes it.
func (h *Handler) unmarshalAPIKey(d *caddyfile.Dispenser) error {
	d.NextArg()
	h.APIKey = d.Val()
	if h.APIKey == "" {
		return d.Err("api_key: the key is empty; leave it out to use " + defaultAPIKey)
	}
	return nil
}

func (h *Handler) unmarshalSession(d *caddyfile.Dispenser) error {
	var session string
	if err := unmarshalString(d, &session); err != nil {
		return err
	}
	if err := checkNumbers(session); err != nil {
		return d.WrapErr(err)
	}
	h.Session = json.RawMessage(session)
	return nil
}

func (h *Handler) unmarshalRateLimit(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	h.RateLimit = new(RateLimit)
	switch len(args) {
	case 1:
		if args[0] != "off" {
			return d.Errf("rate_limit: it takes a count and a window, or 'off', not just '%s'", args[0])
		}
		h.RateLimit.Disabled = true
		return nil
	case 3:
		if args[2] == "" {
			return d.Err("rate_limit: the key is empty")
		}
		h.RateLimit.Key = args[2]
	case 2:
	default:
		return d.ArgErr()
	}
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return d.Errf("rate_limit: '%s' is not a whole number", args[0])
	}
	window, err := caddy.ParseDuration(args[1])
	if err != nil {
		return d.Errf("rate_limit: '%s' is not a duration", args[1])
	}
	h.RateLimit.Count, h.RateLimit.Window = count, caddy.Duration(window)
	return nil
}

func (h *Handler) unmarshalTransport(d *caddyfile.Dispenser) error {
	// UnmarshalModule drops what follows the name without a word.
	if d.CountRemainingArgs() != 1 {
		return d.ArgErr()
	}
	d.NextArg()
	name := d.Val()
	moduleID := "http.reverse_proxy.transport." + name
	module, err := caddyfile.UnmarshalModule(d, moduleID)
	if err != nil {
		return err
	}
	if _, ok := module.(http.RoundTripper); !ok {
		return d.Errf("transport: module %s (%T) is not a RoundTripper", moduleID, module)
	}
	h.TransportRaw = caddyconfig.JSONModuleObject(module, "protocol", name, nil)
	return nil
}

func unmarshalString(d *caddyfile.Dispenser, value *string) error {
	option := d.Val()
	if !d.AllArgs(value) {
		return d.ArgErr()
	}
	if *value == "" {
		return d.Errf("%s: the value is empty", option)
	}
	return nil
}

func unmarshalInt(d *caddyfile.Dispenser, value *int) error {
	option := d.Val()
	var arg string
	if err := unmarshalString(d, &arg); err != nil {
		return err
	}
	number, err := strconv.Atoi(arg)
	if err != nil {
		return d.Errf("%s: '%s' is not a whole number", option, arg)
	}
	*value = number
	return nil
}

// unmarshalDuration reads a duration. Zero is refused: in JSON it would be left
// out and stand for the default.
func unmarshalDuration(d *caddyfile.Dispenser, value *caddy.Duration) error {
	option := d.Val()
	var arg string
	if err := unmarshalString(d, &arg); err != nil {
		return err
	}
	duration, err := caddy.ParseDuration(arg)
	if err != nil {
		return d.Errf("%s: '%s' is not a duration", option, arg)
	}
	if duration < time.Nanosecond {
		return d.Errf("%s: %s is out of range; it must be more than zero", option, duration)
	}
	*value = caddy.Duration(duration)
	return nil
}

func unmarshalList(d *caddyfile.Dispenser, values *[]string) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	*values = args
	return nil
}

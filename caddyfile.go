// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

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
//	    rate_limit      <count> <window> [<key>|site] | off
//	    limit_store     <name> ...
//	    prefetch        [<count>]
//	    pass_thru
//	    transport <name> {
//	        ...
//	    }
//	}
//
// Every option can be given once, and rate_limit several times. Values out of range are refused here already,
// because only here the line is known.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name; Caddy took the matcher away

	// Arguments are counted before they are read, here and below: the error quotes
	// the current token, which must be the option and not a key. One argument too
	// many would hide the whole block.
	seen := make(map[string]bool)
	switch d.CountRemainingArgs() {
	case 0:
	case 1:
		if err := h.unmarshalAndCheck(d, "api_key"); err != nil {
			return err
		}
		seen["api_key"] = true
	default:
		return d.ArgErr()
	}

	previous := directive
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		limits, known := optionArgs[option]
		if option == "{" {
			return d.Errf("%s takes no block", previous)
		}
		previous = option
		if !known {
			return d.Errf("unrecognized subdirective '%s'", option)
		}
		if seen[option] && option != "rate_limit" {
			return d.Errf("%s is given twice", option)
		}
		seen[option] = true
		if count := d.CountRemainingArgs(); count < limits.least || count > limits.most {
			if option == "session" {
				return d.Err(sessionAdvice)
			}
			return d.ArgErr()
		}
		if err := h.unmarshalAndCheck(d, option); err != nil {
			return err
		}
	}
	return nil
}

// sessionAdvice is for JSON that a Caddyfile takes apart at its spaces, or takes
// for a block.
const sessionAdvice = "session: write the JSON object in backticks, as in: session `{\"model\": \"grok-voice-latest\"}`"

// optionArgs lists the options and how many arguments they take.
var optionArgs = map[string]struct{ least, most int }{
	"api_key":         {1, 1},
	"expires_after":   {1, 1},
	"session":         {1, 1},
	"endpoint":        {1, 1},
	"timeout":         {1, 1},
	"retries":         {1, 1},
	"methods":         {1, math.MaxInt},
	"trusted_origins": {1, math.MaxInt},
	"rate_limit":      {1, 3},
	"limit_store":     {1, math.MaxInt},
	"prefetch":        {0, 1},
	"pass_thru":       {0, 0},
	"transport":       {1, 1},
}

// unmarshalAndCheck reads an option, and has a mistake in what it says named with
// its line.
func (h *Handler) unmarshalAndCheck(d *caddyfile.Dispenser, option string) error {
	if err := h.unmarshalOption(d, option); err != nil {
		return err
	}
	if err := h.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// unmarshalOption reads the arguments of an option, whose number is right.
func (h *Handler) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "api_key":
		return unmarshalString(d, option, &h.APIKey)
	case "expires_after":
		return unmarshalDuration(d, option, &h.ExpiresAfter)
	case "session":
		return h.unmarshalSession(d)
	case "endpoint":
		return unmarshalString(d, option, &h.Endpoint)
	case "timeout":
		return unmarshalDuration(d, option, &h.Timeout)
	case "retries":
		h.Retries = new(int)
		return unmarshalInt(d, option, h.Retries)
	case "methods":
		h.Methods = d.RemainingArgs()
	case "trusted_origins":
		h.TrustedOrigins = d.RemainingArgs()
	case "rate_limit":
		return h.unmarshalRateLimit(d)
	case "limit_store":
		return h.unmarshalLimitStore(d)
	case "prefetch":
		return h.unmarshalPrefetch(d)
	case "pass_thru":
		h.PassThru = true
	case "transport":
		return h.unmarshalTransport(d)
	}
	return nil
}

func (h *Handler) unmarshalSession(d *caddyfile.Dispenser) error {
	var session string
	if err := unmarshalString(d, "session", &session); err != nil {
		return err
	}
	if err := checkNumbers(session); err != nil {
		return d.WrapErr(err)
	}
	h.Session = json.RawMessage(session)
	return nil
}

func (h *Handler) unmarshalPrefetch(d *caddyfile.Dispenser) error {
	h.Prefetch = defaultPrefetch
	if !d.NextArg() {
		return nil
	}
	var err error
	if h.Prefetch, err = strconv.Atoi(d.Val()); err != nil {
		return d.Errf("prefetch: '%s' is not a whole number; write prefetch alone for %d tokens, or how many", d.Val(), defaultPrefetch)
	}
	return nil
}

func (h *Handler) unmarshalRateLimit(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 1 {
		if args[0] != "off" {
			return d.Errf("rate_limit: it takes a count and a window, or 'off', not just '%s'", args[0])
		}
		if h.Unlimited {
			return d.Err("rate_limit: 'off' is given twice")
		}
		h.Unlimited = true
		return nil
	}
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return d.Errf("rate_limit: '%s' is not a whole number", args[0])
	}
	window, err := caddy.ParseDuration(args[1])
	if err != nil {
		return d.WrapErr(noDuration("rate_limit", args[1]))
	}
	rateLimit := RateLimit{Count: count, Window: caddy.Duration(window)}
	if len(args) == 3 {
		if rateLimit.Key = args[2]; rateLimit.Key == "" {
			return d.Err("rate_limit: the key is empty")
		}
	}
	h.RateLimits = append(h.RateLimits, rateLimit)
	return nil
}

func (h *Handler) unmarshalLimitStore(d *caddyfile.Dispenser) error {
	d.NextArg()
	name := d.Val()
	moduleID := "http.xai_ephemeral_token.limit_store." + name
	if _, err := caddy.GetModule(moduleID); err != nil {
		return d.Errf("limit_store: this Caddy has no module %s; one for redis is in github.com/caddy-xai/caddy-xai-ephemeral-token/redis", moduleID)
	}
	module, err := caddyfile.UnmarshalModule(d, moduleID)
	if err != nil {
		return err
	}
	h.LimitStoreRaw = caddyconfig.JSONModuleObject(module, "store", name, nil)
	return nil
}

func (h *Handler) unmarshalTransport(d *caddyfile.Dispenser) error {
	d.NextArg()
	name := d.Val()
	moduleID := "http.reverse_proxy.transport." + name
	module, err := caddyfile.UnmarshalModule(d, moduleID)
	if err != nil {
		return err
	}
	if _, err := asTransport(module); err != nil {
		return d.WrapErr(err)
	}
	h.TransportRaw = caddyconfig.JSONModuleObject(module, "protocol", name, nil)
	return nil
}

// unmarshalString reads an argument that must not be empty: in JSON it would be
// left out and stand for the default.
func unmarshalString(d *caddyfile.Dispenser, option string, value *string) error {
	d.NextArg()
	if *value = d.Val(); *value == "" {
		return d.Errf("%s: the value is empty", option)
	}
	return nil
}

func unmarshalInt(d *caddyfile.Dispenser, option string, value *int) error {
	d.NextArg()
	number, err := strconv.Atoi(d.Val())
	if err != nil {
		return d.Errf("%s: '%s' is not a whole number", option, d.Val())
	}
	*value = number
	return nil
}

// unmarshalDuration reads a duration. Zero is refused: in JSON it would be left
// out and stand for the default.
func unmarshalDuration(d *caddyfile.Dispenser, option string, value *caddy.Duration) error {
	d.NextArg()
	duration, err := caddy.ParseDuration(d.Val())
	if err != nil {
		return d.WrapErr(noDuration(option, d.Val()))
	}
	if duration <= 0 {
		return d.Errf("%s: %s is out of range; it must be more than zero", option, duration)
	}
	*value = caddy.Duration(duration)
	return nil
}

// noDuration is the error for text that is no duration.
func noDuration(option, text string) error {
	if _, err := strconv.ParseUint(text, 10, 63); err == nil {
		return fmt.Errorf("%s: '%s' is not a duration; write its unit, as in %[2]ss or %[2]sm", option, text)
	}
	return fmt.Errorf("%s: '%s' is not a duration", option, text)
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the store from Caddyfile tokens. Syntax:
//
//	limit_store redis <address...> {
//	    username <name>
//	    password <password>
//	    db       <number>
//	    timeout  <duration>
//	    prefix   <prefix>
//	    scope    <name>
//	    sentinel <master>
//	    cluster
//	    tls {
//	        ca                 <file>
//	        client_certificate <certificate_file> <key_file>
//	        server_name        <name>
//	    }
//	    on_error deny|local
//	}
//
// Every option can be given once.
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the store's name
	if s.Addresses = d.RemainingArgs(); len(s.Addresses) == 0 {
		return d.Err("limit_store redis: the address is missing")
	}
	if err := s.checkOptions(d); err != nil {
		return err
	}
	if err := unmarshalBlock(d, "limit_store redis", optionArgs, s.unmarshalOption); err != nil {
		return err
	}
	if err := s.validateComplete(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// optionArgs lists the options and how many arguments they take.
var optionArgs = map[string]int{
	"username": 1,
	"password": 1,
	"db":       1,
	"timeout":  1,
	"prefix":   1,
	"scope":    1,
	"sentinel": 1,
	"cluster":  0,
	"tls":      0,
	"on_error": 1,
}

var tlsOptionArgs = map[string]int{
	"ca":                 1,
	"client_certificate": 2,
	"server_name":        1,
}

// unmarshalBlock reads the options of a block. Their arguments are counted before
// they are read: the error quotes the current token, which must be the option and not
// a password.
func unmarshalBlock(d *caddyfile.Dispenser, owner string, known map[string]int, unmarshal func(*caddyfile.Dispenser, string) error) error {
	seen := make(map[string]bool)
	previous := owner
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if option == "{" {
			return d.Errf("%s takes no block", previous)
		}
		previous = option
		args, ok := known[option]
		switch {
		case !ok:
			return d.Errf("%s: unrecognized subdirective '%s'", owner, option)
		case seen[option]:
			return d.Errf("%s is given twice", option)
		case d.CountRemainingArgs() != args:
			return d.ArgErr()
		}
		seen[option] = true
		if err := unmarshal(d, option); err != nil {
			return err
		}
	}
	return nil
}

// checkOptions has a mistake in the options so far named with the line of the last.
func (s *Store) checkOptions(d *caddyfile.Dispenser) error {
	if err := s.validateOptions(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (s *Store) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "cluster":
		s.Cluster = true
		return s.checkOptions(d)
	case "tls":
		s.TLS = new(TLS)
		if err := s.checkOptions(d); err != nil {
			return err
		}
		return unmarshalBlock(d, "tls", tlsOptionArgs, s.TLS.unmarshalOption)
	}
	value, err := nextArg(d, option)
	if err != nil {
		return err
	}
	switch option {
	case "username":
		s.Username = value
	case "password":
		s.Password = value
	case "db":
		if s.DB, err = strconv.Atoi(value); err != nil {
			return d.Errf("db: '%s' is not a whole number", value)
		}
	case "timeout":
		timeout, err := caddy.ParseDuration(value)
		if err != nil {
			return d.Errf("timeout: '%s' is not a duration, such as 500ms", value)
		}
		if timeout <= 0 {
			return d.Errf("timeout: %s is out of range; it must be more than zero", timeout)
		}
		s.Timeout = caddy.Duration(timeout)
	case "prefix":
		s.Prefix = value
	case "scope":
		s.Scope = value
	case "sentinel":
		s.Sentinel = value
	case "on_error":
		s.OnError = value
	}
	return s.checkOptions(d)
}

func (t *TLS) unmarshalOption(d *caddyfile.Dispenser, option string) (err error) {
	switch option {
	case "ca":
		t.CA, err = nextArg(d, option)
	case "client_certificate":
		if t.ClientCertificate, err = nextArg(d, option); err == nil {
			t.ClientKey, err = nextArg(d, option)
		}
	case "server_name":
		t.ServerName, err = nextArg(d, option)
	}
	return err
}

// nextArg reads an argument that must not be empty: in JSON it would be left out and
// stand for the default.
func nextArg(d *caddyfile.Dispenser, option string) (string, error) {
	d.NextArg()
	if d.Val() == "" {
		return "", d.Errf("%s: the value is empty", option)
	}
	return d.Val(), nil
}

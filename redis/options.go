// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/caddyserver/caddy/v2"
)

const defaultPort = "6379"

// Validate checks every option that is set. Zero values stand for the defaults.
func (s *Store) Validate() error {
	if err := s.validateOptions(); err != nil {
		return err
	}
	return s.validateComplete()
}

// validateOptions checks the options that are set, each and beside the others.
func (s *Store) validateOptions() error {
	if err := s.validateValues(); err != nil {
		return err
	}
	return s.validateTogether()
}

// validateValues checks each option by itself.
func (s *Store) validateValues() error {
	if len(s.Addresses) == 0 {
		return errors.New("the address is missing")
	}
	for _, text := range s.Addresses {
		if strings.Contains(text, "{") {
			continue // it may be set only where the config will run
		}
		if _, err := parseAddress(text); err != nil {
			return err
		}
	}
	if s.DB < 0 {
		return fmt.Errorf("db: %d is out of range; it must be 0 or more", s.DB)
	}
	if s.Timeout < 0 {
		return fmt.Errorf("timeout: %s is out of range; it must be more than zero", time.Duration(s.Timeout))
	}
	if d := time.Duration(s.Timeout); d != 0 && d < time.Millisecond {
		return fmt.Errorf("timeout: %s is too short; in JSON a number without a unit is in nanoseconds, so write \"500ms\"", d)
	}
	if strings.ContainsAny(s.Prefix, "{}") {
		return errors.New("prefix: it must not have braces, which say where in a cluster a key is")
	}
	for option, value := range map[string]string{"scope": s.Scope, "sentinel": s.Sentinel} {
		if strings.ContainsAny(value, "{}") {
			return fmt.Errorf("%s: it must not have braces, since placeholders are not expanded there; a Caddyfile can use {$VARIABLE}", option)
		}
	}
	if s.OnError != "" && s.OnError != onErrorDeny && s.OnError != onErrorLocal {
		return fmt.Errorf("on_error: %q is neither %s nor %s", s.OnError, onErrorDeny, onErrorLocal)
	}
	return nil
}

// validateComplete checks what is missing beside other options.
func (s *Store) validateComplete() error {
	switch {
	case len(s.Addresses) > 1 && s.Sentinel == "" && !s.Cluster:
		return errors.New("several addresses without sentinel or cluster: a limit is counted in one place")
	case s.TLS != nil && (s.TLS.ClientCertificate == "") != (s.TLS.ClientKey == ""):
		return errors.New("tls: a client certificate needs its key, and a key its certificate")
	case s.Username != "" && s.Password == "" && !strings.ContainsAny(strings.Join(s.Addresses, ""), "@{"):
		return errUserAlone
	}
	return nil
}

var errUserAlone = errors.New("username: the password is missing")

// validateTogether checks what options must not be together.
func (s *Store) validateTogether() error {
	switch {
	case s.Cluster && s.Sentinel != "":
		return errors.New("cluster: not together with sentinel")
	case s.Cluster && s.DB != 0:
		return errors.New("db: a cluster has only the database 0")
	}
	var all address
	for _, text := range s.Addresses {
		if strings.Contains(text, "{") {
			continue
		}
		next, err := parseAddress(text)
		if err != nil {
			return err
		}
		if err := s.checkAddress(next); err != nil {
			return err
		}
		if err := all.add(next); err != nil {
			return err
		}
	}
	return nil
}

// checkAddress checks an address beside the other options.
func (s *Store) checkAddress(a address) error {
	switch {
	case a.unix && (s.Sentinel != "" || s.Cluster):
		return errors.New("address: a Unix socket is neither a sentinel nor a cluster's node")
	case a.unix && s.TLS != nil:
		return errors.New("tls: a Unix socket has no TLS")
	case a.plain && s.TLS != nil:
		return errors.New("tls: redis:// is without TLS; write rediss://")
	case a.db != 0 && s.DB != 0:
		return errors.New("db: the database is in the address, too")
	case a.db != 0 && s.Cluster:
		return errors.New("address: a cluster has only the database 0")
	case a.username != "" && s.Username != "":
		return errors.New("username: the user is in the address, too")
	case a.password != "" && s.Password != "":
		return errors.New("password: the password is in the address, too")
	}
	return nil
}

// address is what an address says.
type address struct {
	dial               string // host:port, or a path
	unix, plain, tls   bool
	username, password string
	db                 int
}

// add takes in what another address says that holds for all of them.
func (a *address) add(next address) error {
	a.plain, a.tls = a.plain || next.plain, a.tls || next.tls
	switch {
	case a.plain && a.tls:
		return errors.New("address: redis:// and rediss:// together; TLS is for all addresses or for none")
	case contradict(&a.username, next.username), contradict(&a.password, next.password), contradict(&a.db, next.db):
		return errors.New("address: the addresses name different users, passwords or databases")
	}
	return nil
}

// contradict reports whether a value is another than before, and keeps it.
func contradict[T comparable](before *T, next T) bool {
	var none T
	if next == none {
		return false
	}
	differs := *before != none && *before != next
	*before = next
	return differs
}

// parseAddress reads an address without placeholders. Its errors do not quote it: it
// can hold a password.
func parseAddress(text string) (a address, err error) {
	if !strings.Contains(text, "://") {
		if a.dial, err = hostPort(text); err != nil {
			return a, err
		}
		return a, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return a, errors.New("address: not a URL")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return a, errors.New("address: the URL must not have a query or a fragment; the options have names of their own")
	}
	a.username = u.User.Username()
	a.password, _ = u.User.Password()
	switch u.Scheme {
	case "unix":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return a, errors.New("address: a Unix socket is written with an absolute path, as in unix:///run/redis.sock")
		}
		a.unix, a.dial = true, u.Path
		return a, nil
	case "redis":
		a.plain = true
	case "rediss":
		a.tls = true
	default:
		return a, errors.New("address: the URL's scheme is none of redis, rediss and unix")
	}
	if path := strings.Trim(u.Path, "/"); path != "" {
		if a.db, err = strconv.Atoi(path); err != nil || a.db < 0 {
			return a, errors.New("address: what follows the host is not the number of a database")
		}
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), defaultPort)
	}
	a.dial, err = hostPort(host)
	return a, err
}

func hostPort(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" {
		return "", errors.New("address: not host:port, nor a redis://, rediss:// or unix:// URL")
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return "", errors.New("address: the port is not a number from 1 to 65535")
	}
	return net.JoinHostPort(host, port), nil
}

// clientOptions returns how to connect. What placeholders expand to is kept only
// here: an exported field would end up in Caddy's trace log.
func (s *Store) clientOptions() (*redis.UniversalOptions, error) {
	timeout := time.Duration(s.Timeout)
	options := &redis.UniversalOptions{
		DB:            s.DB,
		MasterName:    s.Sentinel,
		IsClusterMode: s.Cluster,

		DialTimeout:           timeout,
		ReadTimeout:           timeout,
		WriteTimeout:          timeout,
		PoolTimeout:           timeout,
		ContextTimeoutEnabled: true,

		// What is tried again, and when, is said where it is called.
		MaxRetries:    -1,
		DialerRetries: 1,

		// Without what servers before Redis 7.2, and proxies, do not know.
		Protocol:                 2,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		PipelinePoolSize:         -1,
	}
	var err error
	if options.Username, err = expand("username", s.Username); err != nil {
		return nil, err
	}
	if options.Password, err = expand("password", s.Password); err != nil {
		return nil, err
	}
	withTLS := s.TLS != nil
	for _, text := range s.Addresses {
		address, err := expandAddress(text)
		if err != nil {
			return nil, err
		}
		if err := s.checkAddress(address); err != nil {
			return nil, err
		}
		options.Addrs = append(options.Addrs, address.dial)
		withTLS = withTLS || address.tls
		if address.username != "" {
			options.Username = address.username
		}
		if address.password != "" {
			options.Password = address.password
		}
		if address.db != 0 {
			options.DB = address.db
		}
	}
	if options.Username != "" && options.Password == "" {
		return nil, errUserAlone
	}
	if withTLS {
		options.TLSConfig, err = s.TLS.config()
	}
	return options, err
}

// expand expands global placeholders. One that is there and expands to nothing is
// an error, which does not quote the text.
func expand(option, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	expanded, err := caddy.NewReplacer().ReplaceOrErr(text, true, true)
	if err != nil {
		return "", fmt.Errorf("%s: %w", option, err)
	}
	if expanded = strings.TrimSpace(expanded); expanded == "" {
		return "", fmt.Errorf("%s: its placeholders are empty", option)
	}
	return expanded, nil
}

// expandAddress expands the placeholders of an address and reads it. What is before
// the host needs no escaping where it comes from a placeholder.
func expandAddress(text string) (a address, err error) {
	var username, password string
	scheme, rest, _ := strings.Cut(text, "://")
	if user, host, ok := strings.Cut(rest, "@"); ok && strings.Contains(user, "{") {
		text = scheme + "://" + host
		username, password, _ = strings.Cut(user, ":")
		if username, err = expand("address: the user", username); err != nil {
			return a, err
		}
		if password, err = expand("address: the password", password); err != nil {
			return a, err
		}
	}
	if text, err = expand("address", text); err != nil {
		return a, err
	}
	if a, err = parseAddress(text); err == nil && username+password != "" {
		a.username, a.password = username, password
	}
	return a, err
}

func (s *Store) warnOfLiteralPassword() {
	literal := s.Password != "" && !strings.Contains(s.Password, "{")
	for _, text := range s.Addresses {
		_, rest, _ := strings.Cut(text, "://")
		user, _, _ := strings.Cut(rest, "@")
		_, password, _ := strings.Cut(user, ":")
		literal = literal || password != "" && !strings.Contains(password, "{")
	}
	if literal {
		s.logger.Warn("the password of the limit store stands in the config itself, where the admin API and the autosaved config show it; " +
			"a placeholder such as {env.REDIS_PASSWORD} or {file./run/secrets/redis} keeps it out")
	}
}

// config returns the TLS config. A nil TLS is one that says nothing.
func (t *TLS) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t == nil {
		return config, nil
	}
	config.ServerName = t.ServerName
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls: ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls: ca: %s has no certificate in PEM form", t.CA)
		}
	}
	if t.ClientCertificate != "" {
		certificate, err := tls.LoadX509KeyPair(t.ClientCertificate, t.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("tls: client_certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}

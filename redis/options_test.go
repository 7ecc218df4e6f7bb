// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	redislimit "github.com/caddy-xai/caddy-xai-ephemeral-token/redis"
)

// parse reads what follows limit_store in a Caddyfile.
func parse(text string) (*redislimit.Store, error) {
	s := new(redislimit.Store)
	err := s.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
	return s, err
}

func TestCaddyfile(t *testing.T) {
	tests := []struct{ name, config, want string }{
		{"an address", `redis localhost:6379`, `{"addresses":["localhost:6379"]}`},
		{"a URL with placeholders", `redis {env.REDIS_URL}`, `{"addresses":["{env.REDIS_URL}"]}`},
		{"a Unix socket", `redis unix:///run/redis.sock`, `{"addresses":["unix:///run/redis.sock"]}`},
		{"everything", `redis rediss://valkey.internal:6380 {
			username {env.REDIS_USER}
			password {file./run/secrets/redis}
			db 3
			timeout 250ms
			prefix tokens
			scope all
			tls {
				ca ca.pem
				client_certificate cert.pem key.pem
				server_name valkey
			}
			on_error local
		}`, `{"addresses":["rediss://valkey.internal:6380"],"username":"{env.REDIS_USER}","password":"{file./run/secrets/redis}","db":3,` +
			`"timeout":250000000,"prefix":"tokens","scope":"all",` +
			`"tls":{"ca":"ca.pem","client_certificate":"cert.pem","client_key":"key.pem","server_name":"valkey"},"on_error":"local"}`},
		{"sentinels", "redis a:26379 b:26379 {\n sentinel mymaster\n}", `{"addresses":["a:26379","b:26379"],"sentinel":"mymaster"}`},
		{"a cluster", "redis a:6379 b:6379 {\n cluster\n tls\n}", `{"addresses":["a:6379","b:6379"],"cluster":true,"tls":{}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := parse(test.config)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(s) //nolint:gosec // nothing in it is secret
			if err != nil || string(got) != test.want {
				t.Errorf("got %s, %v; want %s", got, err, test.want)
			}
		})
	}
}

func TestCaddyfileErrors(t *testing.T) {
	block := func(options string) string { return "redis localhost:6379 {\n" + options + "\n}" }
	tests := []struct{ name, config, want string }{
		{"no address", "redis", "the address is missing, at Testfile:1"},
		{"an address without port", "redis localhost", "address: not host:port, nor a redis://, rediss:// or unix:// URL, at Testfile:1"},
		{"an address without host", "redis :6379", "address: not host:port"},
		{"a port that is none", "redis localhost:redis", "address: the port is not a number"},
		{"a port out of range", "redis localhost:65536", "address: the port is not a number from 1 to 65535"},
		{"another scheme", "redis http://localhost", "address: the URL's scheme is none of redis, rediss and unix"},
		{"options in the URL", "redis redis://localhost?max_retries=3", "address: the URL must not have a query"},
		{"a database that is none", "redis redis://localhost/tokens", "address: what follows the host is not the number of a database"},
		{"a relative socket", "redis unix://run/redis.sock", "address: a Unix socket is written with an absolute path"},
		{"several addresses", "redis a:6379 b:6379", "several addresses without sentinel or cluster"},
		{"an unknown option", block("pasword hunter2"), "unrecognized subdirective 'pasword', at Testfile:2"},
		{"an option twice", block("db 1\ndb 1"), "db is given twice, at Testfile:3"},
		{"an argument missing", block("username"), "wrong argument count or unexpected line ending after 'username', at Testfile:2"},
		{"an argument too many", block("password hunter2 hunter2"), "wrong argument count or unexpected line ending after 'password', at Testfile:2"},
		{"an argument of a flag", block("cluster on"), "after 'cluster', at Testfile:2"},
		{"an argument of tls", block("tls on"), "after 'tls', at Testfile:2"},
		{"an empty value", block(`scope ""`), "scope: the value is empty, at Testfile:2"},
		{"a block where none belongs", block("db 1 {\n x\n}"), "db takes no block, at Testfile:2"},
		{"a block on the next line", block("db 1\n{\n x\n}"), "db takes no block, at Testfile:3"},
		{"a database that is no number", block("db x"), "db: 'x' is not a whole number, at Testfile:2"},
		{"a database below zero", block("db -1"), "db: -1 is out of range; it must be 0 or more, at Testfile:2"},
		{"a timeout without unit", block("timeout 500"), "timeout: '500' is not a duration, such as 500ms, at Testfile:2"},
		{"no timeout", block("timeout 0s"), "timeout: 0s is out of range; it must be more than zero, at Testfile:2"},
		{"a prefix with braces", block("prefix a{b}"), "prefix: it must not have braces, which say where in a cluster a key is, at Testfile:2"},
		{"another on_error", block("on_error allow"), `on_error: "allow" is neither deny nor local, at Testfile:2`},
		{"an unknown option of tls", block("tls {\n insecure\n}"), "tls: unrecognized subdirective 'insecure', at Testfile:3"},
		{"an option of tls twice", block("tls {\n ca a\n ca b\n}"), "ca is given twice, at Testfile:4"},
		{"a certificate without key", block("tls {\n client_certificate a\n}"), "after 'client_certificate', at Testfile:3"},
		{"sentinel and cluster", block("sentinel m\ncluster"), "cluster: not together with sentinel, at Testfile:3"},
		{"a cluster's database", block("db 1\ncluster"), "db: a cluster has only the database 0, at Testfile:3"},
		{"a cluster's database in the URL", "redis redis://a/1 {\n cluster\n}", "address: a cluster has only the database 0"},
		{"two databases", "redis redis://a/1 {\n db 2\n}", "db: the database is in the address, too"},
		{"two users", "redis redis://me:hunter2@a {\n username you\n}", "username: the user is in the address, too"},
		{"two passwords", "redis redis://:hunter2@a {\n password hunter2\n}", "password: the password is in the address, too"},
		{"TLS without TLS", "redis redis://a {\n tls\n}", "tls: redis:// is without TLS; write rediss://"},
		{"TLS over a socket", "redis unix:///a {\n tls\n}", "tls: a Unix socket has no TLS"},
		{"a user without password", "redis a:1 {\n username me\n}", "username: the password is missing"},
		{"a conflict, at its own line", "redis a:1 {\n cluster\n db 1\n prefix x\n}", "db: a cluster has only the database 0, at Testfile:3"},
		{"a timeout without a unit", "redis a:1 {\n timeout 5\n}", "timeout: '5' is not a duration, such as 500ms"},
		{"a timeout in nanoseconds", "redis a:1 {\n timeout 5ns\n}", "timeout: 5ns is too short"},
		{"a scope with a placeholder", "redis a:1 {\n scope {env.SITE}\n}", "scope: it must not have braces"},
		{"a sentinel with a placeholder", "redis a:1 {\n sentinel {env.NAME}\n}", "sentinel: it must not have braces"},
		{"addresses with and without TLS", "redis redis://a:1 rediss://b:1 {\n cluster\n}", "address: redis:// and rediss:// together"},
		{"addresses with two passwords", "redis redis://:hunter2@a:1 redis://:hunter22@b:1 {\n cluster\n}", "address: the addresses name different users, passwords or databases"},
		{"addresses with two databases", "redis redis://a:1/1 redis://b:1/2 {\n sentinel m\n}", "address: the addresses name different users, passwords or databases"},
		{"a sentinel's socket", "redis unix:///a {\n sentinel m\n}", "address: a Unix socket is neither a sentinel nor a cluster's node"},
		{"a URL that is none", "redis redis://me:hunter2@%zz", "address: not a URL"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(test.config)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "Testfile:") {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v has the password", err)
			}
		})
	}
}

// TestLoadErrors loads from JSON what a Caddyfile would have refused, and what only
// shows when placeholders are expanded.
func TestLoadErrors(t *testing.T) {
	t.Setenv("REDIS_EMPTY", "")
	t.Setenv("REDIS_WRONG", "localhost")
	missing := filepath.Join(t.TempDir(), "missing.pem")
	tests := []struct {
		name    string
		options options
		want    string
	}{
		{"no address", options{}, "the address is missing"},
		{"an unknown option", at("a:1", "address", "a:1"), "unknown field"},
		{"an address that is none", at("localhost"), "address: not host:port"},
		{"an address that expands to none", at("{env.REDIS_WRONG}"), "address: not host:port"},
		{"an address that expands to nothing", at("{env.REDIS_EMPTY}"), "address: "},
		{"a password that expands to nothing", at("a:1", "password", "{env.REDIS_EMPTY}"), "password: "},
		{"a password that was never set", at("a:1", "password", "{env.REDIS_NEVER_SET}"), "password: "},
		{"a placeholder that is none", at("a:1", "username", "{http.auth.user.id}"), "username: "},
		{"a user without password", at("a:1", "username", "me"), "username: the password is missing"},
		{"a timeout below zero", at("a:1", "timeout", "-1s"), "timeout: -1s is out of range"},
		{"a key without certificate", at("a:1", "tls", options{"client_key": "key.pem"}), "tls: a client certificate needs its key"},
		{"a CA that is not there", at("a:1", "tls", options{"ca": missing}), "tls: ca: open " + missing},
		{"a CA that is none", at("a:1", "tls", options{"ca": "go.mod"}), "tls: ca: go.mod has no certificate in PEM form"},
		{"a certificate that is not there", at("a:1", "tls", options{"client_certificate": missing, "client_key": missing}), "tls: client_certificate: open " + missing},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := loadStore(t, test.options); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestLiteralPasswordIsWarnedOf(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "hunter2")
	const warning = "the password of the limit store stands in the config"
	for _, test := range []struct {
		name    string
		options options
		warned  bool
	}{
		{"no password", at("a:1"), false},
		{"a placeholder", at("a:1", "password", "{env.REDIS_PASSWORD}"), false},
		{"a placeholder in a URL", at("redis://:{env.REDIS_PASSWORD}@a:1"), false},
		{"a literal", at("a:1", "password", "hunter2"), true},
		{"a literal in a URL", at("redis://:hunter2@a:1"), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t, test.options)
			if warned := len(s.log(warning)) == 1; warned != test.warned {
				t.Errorf("warned: %t", warned)
			}
			if len(s.log("hunter2")) > 0 {
				t.Error("the log has the password")
			}
		})
	}
}

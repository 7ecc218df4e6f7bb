// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package caddytest is the harness of the tests that see this plugin from outside:
// a real Caddy that serves real HTTP, upstreams that stand in for xAI, clients, and
// what Caddy recorded of it all. It holds no tests, and only tests import it.
package caddytest

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// Main is the TestMain of a package whose tests start Caddy. It fails the package
// if goroutines outlive its tests, and makes a Caddy of the process where Command
// started it as one.
func Main(m *testing.M) {
	beCaddy()
	goleak.VerifyTestMain(m,
		// CertMagic's storage notices only every 5 seconds that a lock is gone.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
	)
}

// asCaddy is the environment variable that makes a Caddy, with all that is compiled
// into it, of a test's binary whose TestMain is Main.
const asCaddy = "XAITOKEN_TEST_AS_CADDY"

// beCaddy runs Caddy's command line, and does not return, if this process was
// started for that.
func beCaddy() {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		os.Exit(0)
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package clients tests the code of docs/clients.md and examples/clients with the
// client libraries that people use, at the versions in package-lock.json: each of
// them gets a token from a real Caddy with the plugin, opens a session with the
// sandbox, types, speaks, interrupts and hangs up.
//
//	go -C e2e test ./clients
//
// Where npm, Node 22, Chromium or Python's websockets are missing the tests skip,
// unless E2E_REQUIRE is set.
package clients

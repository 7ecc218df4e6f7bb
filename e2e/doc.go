// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the voice page of examples/voice and the other examples' pages in
// a real Chromium, with a real Caddy, the plugin and the sandbox behind them, and the
// page's token.js in Node and by TypeScript, too. It is a module of its own, so that the
// plugin's users need none of what drives a browser.
//
//	go -C e2e test ./...
//
// What needs Chromium, Node or npm skips without it, unless E2E_REQUIRE is set.
// E2E_SCREENSHOTS names a directory that keeps what the page looked like.
package e2e

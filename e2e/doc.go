// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the voice page of examples/voice in a real Chromium, with a
// real Caddy, the plugin and the sandbox behind it. It is a module of its own, so
// that the plugin's users need none of what drives a browser.
//
//	go -C e2e test ./...
//
// Without Chromium the tests skip, unless E2E_REQUIRE is set. E2E_SCREENSHOTS names
// a directory that keeps what the page looked like.
package e2e

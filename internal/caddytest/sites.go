// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import "strings"

// Site returns the Caddyfile of a site that hands out the upstream's tokens at
// /session. The options of the directive are given one by one.
func Site(options ...string) string {
	return `
http://SITE {
	xai_ephemeral_token /session ` + Key + ` {
		endpoint UPSTREAM
		` + strings.Join(options, "\n\t\t") + `
	}
}
`
}

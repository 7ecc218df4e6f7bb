// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Command caddy is Caddy with its standard modules, this project's plugin and
// the sandbox that stands in for xAI. It is for development and the quickstart;
// to run a site, build Caddy with xcaddy and the plugin alone.
//
// Unlike Caddy it refuses to start on an address where somebody listens already:
// see lookBeforeListening.
package main

import (
	"os"
	_ "time/tzdata"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-xai/caddy-xai-ephemeral-token"
	_ "github.com/caddy-xai/caddy-xai-ephemeral-token/sandbox"
)

func main() {
	if err := lookBeforeListening(os.Args[1:]); err != nil {
		caddy.Log().Error(err.Error())
		os.Exit(caddy.ExitCodeFailedStartup)
	}
	caddycmd.Main()
}

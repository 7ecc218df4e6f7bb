// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures the plugin side by side with other ways to hand out
// tokens, all on this machine and in one run. See README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-xai/caddy-xai-ephemeral-token"
)

func main() {
	if serveIfAsked() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	run, args := benchmark, os.Args[1:]
	if len(args) > 0 && args[0] == "soak" {
		run, args = runSoak, args[1:]
	}
	if err := run(ctx, args, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing is left that stop would undo
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures the plugin side by side with other ways to hand out
// tokens, all on this machine and in one run. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	_ "github.com/caddy-xai/caddy-xai-ephemeral-token"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// servers are what this program can be besides the benchmark. It starts itself
// again as one of them, by its first argument, so that each server is a process
// of its own and shares no garbage collector with the load generator. They get
// their parameters from the environment, as the servers in other languages do.
var servers = map[string]func() error{
	// The caddy command, whose arguments follow.
	"caddy": func() error {
		os.Args = os.Args[1:]
		caddycmd.Main()
		return nil
	},

	"upstream": serveUpstream,
	"sandbox":  serveSandbox,

	// The client is as Go makes it: it keeps two idle connections to a host and
	// closes all others.
	"net-http": func() error { return serveNetHTTP(nil) },

	// It keeps as many as Caddy's transport does by default.
	"net-http-pooled": func() error { return serveNetHTTP(&http.Transport{MaxIdleConnsPerHost: 32}) },
}

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
	if err := run(ctx, args, os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing is left that stop would undo
	}
}

// serveIfAsked runs a server until the process is ended and returns true, or
// returns false if this process is the benchmark.
func serveIfAsked() bool {
	if len(os.Args) < 2 || servers[os.Args[1]] == nil {
		return false
	}
	if err := servers[os.Args[1]](); err != nil {
		fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
		os.Exit(1)
	}
	return true
}

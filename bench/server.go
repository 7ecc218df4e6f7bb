// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// servers are what this program can be besides the benchmark. It starts itself
// again as one of them, by its first argument, so that each server is a process
// of its own and shares no garbage collector with the load generator. They get
// their parameters from the environment, as the servers in other languages do.
var servers = map[string]func() error{
	"caddy":           serveCaddy,
	"net-http":        serveNetHTTP,
	"net-http-pooled": serveNetHTTPPooled,
	"upstream":        serveUpstream,
	"sandbox":         serveSandbox,
}

// serveIfAsked runs a server until the process is ended and returns true, or
// returns false if this process is the benchmark.
func serveIfAsked() bool {
	if len(os.Args) < 2 {
		return false
	}
	serve, ok := servers[os.Args[1]]
	if !ok {
		return false
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
		os.Exit(1)
	}
	return true
}

// serveCaddy is the caddy command, whose arguments follow.
func serveCaddy() error {
	os.Args = os.Args[1:]
	caddycmd.Main()
	return nil
}

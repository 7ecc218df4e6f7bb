// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"
)

// The contenders' names, as the report shows them.
const (
	minting        = "plugin, minting"
	prefetching    = "plugin, prefetching"
	recipe         = "reverse_proxy recipe"
	static         = "respond"
	goServer       = "net/http"
	goServerPooled = "net/http, pooled"
	expressApp     = "Express"
	fastAPIApp     = "FastAPI"
)

// contender is a way to hand out tokens.
type contender struct {
	name    string
	command []string
}

// goContenders returns those that need nothing but Go.
func goContenders() ([]contender, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program, to start it again as a server: %w", err)
	}
	caddy := func(config string) []string {
		return []string{self, "caddy", "run", "--adapter", "caddyfile", "--config", "caddyfiles/" + config + ".Caddyfile"}
	}
	return []contender{
		{minting, caddy("minting")},
		{prefetching, caddy("prefetching")},
		{recipe, caddy("recipe")},
		{static, caddy("respond")},
		{goServer, []string{self, "net-http"}},
		{goServerPooled, []string{self, "net-http-pooled"}},
	}, nil
}

// start starts the contender and gets a first token from it.
func (c contender) start(ctx context.Context, dir string, up *process, prefetch int) (*process, error) {
	p, err := startProcess(ctx, c.name, dir, c.command, "UPSTREAM="+up.address, "PREFETCH="+strconv.Itoa(prefetch))
	if err != nil {
		return nil, err
	}
	status, body, err := fetch(ctx, http.MethodPost, "http://"+p.address+"/session")
	if err == nil {
		err = checkAnswer(status, body)
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("the first request to %s: %w%s", c.name, err, p.logTail())
	}
	return p, nil
}

// startUpstream starts what stands in for xAI.
func startUpstream(ctx context.Context, dir string, latency time.Duration) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program, to start it again as a server: %w", err)
	}
	return startProcess(ctx, "the upstream", dir, []string{self, "upstream"}, "LATENCY="+latency.String())
}

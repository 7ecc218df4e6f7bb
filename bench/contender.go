// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// The contenders' names, as the report shows them.
const (
	minting        = "plugin, minting"
	prefetching    = "plugin, prefetching"
	floor          = "floor"
	recipe         = "reverse_proxy recipe"
	static         = "respond"
	staticLogged   = "respond, access log"
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
func goContenders() []contender {
	caddy := func(config string) []string {
		return self("caddy", "run", "--adapter", "caddyfile", "--config", "caddyfiles/"+config+".Caddyfile")
	}
	return []contender{
		{minting, caddy("minting")},
		{prefetching, caddy("prefetching")},
		{floor, caddy("floor")},
		{recipe, caddy("recipe")},
		{static, caddy("respond")},
		{staticLogged, caddy("respond-logged")},
		{goServer, self("net-http")},
		{goServerPooled, self("net-http-pooled")},
	}
}

// findContenders returns those that can run here, the versions of what the ones in
// other languages run on, and a line for each that is left out.
func findContenders(ctx context.Context) (found []contender, versions, leftOut []string) {
	found = goContenders()
	add := func(name string, command []string, lines string, err error) {
		if err != nil {
			leftOut = append(leftOut, name+": "+err.Error())
			return
		}
		found = append(found, contender{name, command})
		versions = append(versions, strings.Split(lines, "\n")...)
	}

	_, npmErr := output(ctx, "npm", "ci", "--prefix", "express", "--prefer-offline", "--no-audit", "--no-fund")
	lines, err := output(ctx, "node", "--print",
		"`Node ${process.versions.node}\nExpress ${require('./express/node_modules/express/package.json').version}`")
	add(expressApp, []string{"node", "express/server.js"}, lines, cmp.Or(npmErr, err))

	const printVersions = `import platform, fastapi, httpx, uvicorn
print("Python", platform.python_version())
for module in (fastapi, httpx, uvicorn): print({"fastapi": "FastAPI"}.get(module.__name__, module.__name__), module.__version__)`
	var command []string
	// The first in PATH may be one that knows nothing of the system's packages.
	for _, interpreter := range []string{"python3", "/usr/bin/python3"} {
		command = []string{interpreter, "fastapi/server.py"}
		if lines, err = output(ctx, interpreter, "-c", printVersions); err == nil {
			break
		}
	}
	add(fastAPIApp, command, lines, err)
	return found, versions, leftOut
}

// output runs a command and returns what it prints, without the last line's end.
func output(ctx context.Context, name string, args ...string) (string, error) {
	stdout, err := exec.CommandContext(ctx, name, args...).Output() //nolint:gosec // our own commands
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
		err = fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return strings.TrimSpace(string(stdout)), nil
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
	return startProcess(ctx, "the upstream", dir, self("upstream"), "LATENCY="+latency.String())
}

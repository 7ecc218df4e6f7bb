// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// installLimit bounds what happens before the contenders in other languages can
// start.
const installLimit = 2 * time.Minute

// expressContender returns the contender that runs on Node, and the versions of
// Node and Express. An error says why it is left out.
func expressContender(ctx context.Context) (contender, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, installLimit)
	defer cancel()
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			return contender{}, nil, fmt.Errorf("%s is not installed", name)
		}
	}
	if _, err := output(ctx, "npm", "ci", "--prefix", "express", "--prefer-offline", "--no-audit", "--no-fund"); err != nil {
		return contender{}, nil, err
	}
	node, err := output(ctx, "node", "--version")
	if err != nil {
		return contender{}, nil, err
	}
	express, err := output(ctx, "node", "--print", "require('./express/node_modules/express/package.json').version")
	if err != nil {
		return contender{}, nil, err
	}
	return contender{expressApp, []string{"node", "express/server.js"}},
		[]string{"Node " + strings.TrimPrefix(node, "v"), "Express " + express}, nil
}

// fastAPIContender returns the contender that runs on the first of the Python
// interpreters that has what it needs, and the versions of that. An error says
// why it is left out.
func fastAPIContender(ctx context.Context, interpreters []string) (contender, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, installLimit)
	defer cancel()
	const versions = `import platform, fastapi, httpx, uvicorn
print("Python", platform.python_version())
for module in (fastapi, httpx, uvicorn): print({"fastapi": "FastAPI"}.get(module.__name__, module.__name__), module.__version__)`
	var failed error
	for _, python := range interpreters {
		lines, err := output(ctx, python, "-c", versions)
		if err == nil {
			return contender{fastAPIApp, []string{python, "fastapi/server.py"}}, strings.Split(lines, "\n"), nil
		}
		failed = errors.Join(failed, err)
	}
	return contender{}, nil, failed
}

// output runs a command and returns what it prints, without the last line's end.
func output(ctx context.Context, name string, args ...string) (string, error) {
	return outputIn(ctx, "", name, args...)
}

// outputIn does that in a directory.
func outputIn(ctx context.Context, dir, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...) //nolint:gosec // our own commands
	command.Dir = dir
	stdout, err := command.Output()
	if err == nil {
		return strings.TrimSpace(string(stdout)), nil
	}
	what := strings.Join(append([]string{name}, args[:min(1, len(args))]...), " ")
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", fmt.Errorf("%s: %w: %s", what, err, lines[len(lines)-1])
	}
	return "", fmt.Errorf("%s: %w", what, err)
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
)

const pluginModule = "github.com/caddy-xai/caddy-xai-ephemeral-token"

// runBinary builds Caddy as users do.
func runBinary(ctx context.Context, l *lab) (*result, error) {
	root, err := output(ctx, "go", "list", "-m", "-f", "{{.Dir}}", pluginModule)
	if err != nil {
		return nil, fmt.Errorf("finding the plugin's directory: %w", err)
	}
	const size, growth = "bytes", "growth %"
	version, _ := caddy.Version()
	path := filepath.Join(l.dir, "caddy-built")
	t := &table{quantities: []string{size, growth}}
	for _, build := range []struct {
		name string
		args []string
	}{
		{"Caddy", nil},
		{"Caddy with the plugin", []string{"--with", pluginModule + "@v0.0.0=."}},
	} {
		l.say("building %s", build.name)
		args := append([]string{"-C", root, "tool", "xcaddy", "build", version, "--output", path}, build.args...)
		if _, err := output(ctx, "go", args...); err != nil {
			return nil, fmt.Errorf("building %s with xcaddy: %w", build.name, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		t.add(build.name).set(size, float64(info.Size()))
	}
	without, with := t.Rows[0].Figures[size][0], t.Rows[1].Figures[size][0]
	t.Rows[1].set(growth, 100*(with-without)/without)
	return &result{Tables: []*table{t}, Targets: []target{{"growth %", atMost, 1, t.Rows[1].summary(growth)}}}, nil
}

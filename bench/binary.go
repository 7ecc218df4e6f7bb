// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	pluginModule = "github.com/caddy-xai/caddy-xai-ephemeral-token"
	caddyModule  = "github.com/caddyserver/caddy/v2"

	// buildLimit bounds both builds, which may have to download and compile
	// everything.
	buildLimit = 20 * time.Minute
)

// binary is the result of the experiment of that name.
type binary struct {
	Stock  int64 `json:"stock_bytes"`
	Plugin int64 `json:"with_plugin_bytes"`
}

// runBinary builds Caddy as users do.
func runBinary(ctx context.Context, l *lab) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	root, err := output(ctx, "go", "list", "-m", "-f", "{{.Dir}}", pluginModule)
	if err != nil {
		return nil, fmt.Errorf("finding the plugin's directory: %w", err)
	}
	var found binary
	for _, build := range []struct {
		size *int64
		name string
		with []string
	}{
		{&found.Stock, "stock", nil},
		{&found.Plugin, "plugin", []string{"--with", pluginModule + "@v0.0.0=."}},
	} {
		l.say("binary: building caddy-%s", build.name)
		path := filepath.Join(l.dir, "caddy-"+build.name)
		args := append([]string{"tool", "xcaddy", "build", moduleVersion(caddyModule), "--output", path}, build.with...)
		if _, err := outputIn(ctx, root, "go", args...); err != nil {
			return nil, fmt.Errorf("building caddy-%s with xcaddy: %w", build.name, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		*build.size = info.Size()
	}
	return &found, nil
}

// growth returns by how many percent the plugin makes Caddy larger.
func (b *binary) growth() float64 {
	return 100 * float64(b.Plugin-b.Stock) / float64(b.Stock)
}

func (b *binary) writeMarkdown(w *bytes.Buffer) {
	fmt.Fprint(w, "Caddy as xcaddy builds it.\n\n")
	writeTable(w, []string{"Caddy", "bytes", "growth"}, [][]string{
		{"with its standard modules", strconv.FormatInt(b.Stock, 10), ""},
		{"and with the plugin", strconv.FormatInt(b.Plugin, 10), fmt.Sprintf("%.2f %%", b.growth())},
	})
}

func (b *binary) targets() []target {
	return []target{newTarget("binary: growth", lessThan, 1, " %", new(b.growth()))}
}

func (b *binary) charts() []chart { return nil }

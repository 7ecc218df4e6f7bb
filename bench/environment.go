// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// environment is where and with what was measured. What the system does not tell
// is empty.
type environment struct {
	Date     time.Time `json:"date"`
	CPU      string    `json:"cpu"`
	Cores    int       `json:"cores"`
	Load     float64   `json:"load_before"` // processes that were busy in the last minute
	Kernel   string    `json:"kernel"`
	Plugin   string    `json:"plugin"` // a commit
	Versions []string  `json:"versions"`
}

// newEnvironment looks around. The versions are those of other languages.
func newEnvironment(ctx context.Context, versions []string) environment {
	e := environment{
		Date:   time.Now().UTC().Truncate(time.Second),
		Cores:  runtime.NumCPU(),
		Kernel: runtime.GOOS,
		Versions: append([]string{
			"Go " + strings.TrimPrefix(runtime.Version(), "go"),
			"Caddy " + strings.TrimPrefix(moduleVersion(caddyModule), "v"),
		}, versions...),
	}
	if cpus, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		e.CPU = cpuModel(string(cpus))
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		e.Kernel += " " + strings.TrimSpace(string(release))
	}
	if proc, err := procfs.NewDefaultFS(); err == nil {
		if load, err := proc.LoadAvg(); err == nil {
			e.Load = load.Load1
		}
	}
	if commit, err := output(ctx, "git", "describe", "--always", "--dirty"); err == nil {
		e.Plugin = commit
	}
	return e
}

// cpuModel finds the first model name in /proc/cpuinfo.
func cpuModel(cpus string) string {
	for line := range strings.Lines(cpus) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return ""
}

// moduleVersion returns the version of a module that this program is built with.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == path {
				return dependency.Version
			}
		}
	}
	return ""
}

func (e *environment) writeMarkdown(w *bytes.Buffer) {
	rows := [][]string{
		{"date", e.Date.Format(time.RFC3339)},
		{"CPU", fmt.Sprintf("%s, %d cores", e.CPU, e.Cores)},
		{"load before", fmt.Sprintf("%.2f", e.Load)},
		{"kernel", e.Kernel},
		{"plugin", e.Plugin},
		{"versions", strings.Join(e.Versions, ", ")},
	}
	for _, row := range rows {
		fmt.Fprintf(w, "- %s: %s\n", row[0], row[1])
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/prometheus/procfs"

	"github.com/caddyserver/caddy/v2"
)

// report is all that a run has found. As JSON it is the raw figures.
type report struct {
	Environment map[string]string `json:"environment"`
	Settings    settings          `json:"settings"`
	LeftOut     []string          `json:"left_out,omitempty"` // contenders, and why
	Failed      []string          `json:"failed,omitempty"`   // experiments, and why
	Results     []*result         `json:"results"`
}

// result is what an experiment has found, and under which conditions.
type result struct {
	Name        string        `json:"experiment"`
	Subject     string        `json:"subject"`
	Connections int           `json:"connections,omitempty"`
	Requests    int           `json:"requests_at_once,omitempty"`
	Upstream    time.Duration `json:"upstream_latency_ns,omitempty"`
	Tables      []*table      `json:"tables"`
	Targets     []target      `json:"targets,omitempty"`
}

// target is a figure that the project aims at.
type target struct {
	Subject  string   `json:"subject"`
	Operator string   `json:"operator"` // atLeast or atMost
	Limit    float64  `json:"limit"`
	Measured *float64 `json:"measured"` // nil where a contender is missing
}

// The operators that a measured value and its limit can have between them.
const (
	atLeast = "≥"
	atMost  = "≤"
)

// verdict says whether the target is met.
func (t target) verdict() string {
	switch {
	case t.Measured == nil:
		return "not measured"
	case t.Operator == atLeast && *t.Measured >= t.Limit, t.Operator == atMost && *t.Measured <= t.Limit:
		return "met"
	default:
		return "not met"
	}
}

// newEnvironment tells where and with what was measured, as far as the system tells
// it. The versions are those of other languages.
func newEnvironment(ctx context.Context, versions []string) map[string]string {
	version, _ := caddy.Version()
	versions = append([]string{"Go " + strings.TrimPrefix(runtime.Version(), "go"), "Caddy " + strings.TrimPrefix(version, "v")}, versions...)
	e := map[string]string{
		"date":     time.Now().UTC().Format(time.RFC3339),
		"cores":    strconv.Itoa(runtime.NumCPU()),
		"versions": strings.Join(versions, ", "),
	}
	e["kernel"], _ = output(ctx, "uname", "-sr")
	e["plugin"], _ = output(ctx, "git", "describe", "--always", "--dirty")
	// Not with procfs, which has that on Linux only.
	cpus, _ := os.ReadFile("/proc/cpuinfo")
	_, model, _ := strings.Cut(string(cpus), "model name\t: ")
	e["CPU"], _, _ = strings.Cut(model, "\n")
	if proc, err := procfs.NewDefaultFS(); err == nil {
		if load, err := proc.LoadAvg(); err == nil {
			e["load in the minute before"] = fmt.Sprintf("%.2f", load.Load1)
		}
	}
	return e
}

//go:embed report.md.tmpl
var pageText string

var pageTemplate = template.Must(template.New("report").Parse(pageText))

// TargetTable returns a table of all targets, for the page.
func (r *report) TargetTable() string {
	var rows [][]string
	for _, found := range r.Results {
		for _, t := range found.Targets {
			rows = append(rows, []string{found.Name + ": " + t.Subject, fmt.Sprintf("%s %g", t.Operator, t.Limit), format(t.Measured), t.verdict()})
		}
	}
	return markdownTable([]string{"target", "limit", "measured", "verdict"}, rows)
}

// save writes the report as a page to w and, with the raw figures and the charts,
// into a directory.
func (r *report) save(dir string, w io.Writer) error {
	var page bytes.Buffer
	if err := pageTemplate.Execute(io.MultiWriter(&page, w), r); err != nil {
		return err
	}
	// Whoever can read the repository can read the results in it.
	const publicFile, publicDir = 0o644, 0o755
	if err := os.MkdirAll(dir, publicDir); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "report.md"), page.Bytes(), publicFile); err != nil {
		return err
	}
	figures, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the figures: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "figures.json"), append(figures, '\n'), publicFile); err != nil {
		return err
	}
	for _, found := range r.Results {
		for _, t := range found.Tables {
			if err := t.saveChart(dir); err != nil {
				return fmt.Errorf("chart %s: %w", t.Chart.Name, err)
			}
		}
	}
	return nil
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Whoever can read the repository can read the results in it.
const (
	publicFile = 0o644
	publicDir  = 0o755
)

// report is all that a run has found. As JSON it is the raw figures.
type report struct {
	Environment environment       `json:"environment"`
	Settings    settings          `json:"settings"`
	LeftOut     []string          `json:"left_out,omitempty"` // contenders, and why
	Failed      []string          `json:"failed,omitempty"`   // experiments, and why
	Targets     []target          `json:"targets"`
	Results     map[string]result `json:"results"` // by the experiment's name
}

// add adds what an experiment has found.
func (r *report) add(name string, found result) {
	r.Results[name] = found
	r.Targets = append(r.Targets, found.targets()...)
}

func (r *report) writeMarkdown(w *bytes.Buffer) {
	fmt.Fprint(w, "# Benchmark\n\n")
	if r.Settings.Short {
		fmt.Fprint(w, "**A short run: these figures mean little.**\n\n")
	}
	r.Environment.writeMarkdown(w)
	for _, line := range r.LeftOut {
		fmt.Fprintf(w, "- left out: %s\n", line)
	}
	for _, line := range r.Failed {
		fmt.Fprintf(w, "- **failed**: %s\n", line)
	}
	fmt.Fprint(w, "\n## Targets\n\n")
	writeTargets(w, r.Targets)
	for _, e := range experiments {
		found, ok := r.Results[e.name]
		if !ok {
			continue
		}
		fmt.Fprintf(w, "\n## %s: %s\n\n", e.name, e.subject)
		found.writeMarkdown(w)
		for _, c := range found.charts() {
			fmt.Fprintf(w, "\n![%s](%s.svg)\n", c.title, c.name)
		}
	}
}

// save writes the report as a page, the raw figures and the charts into a directory.
func (r *report) save(dir string, page []byte) error {
	if err := os.MkdirAll(dir, publicDir); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "report.md"), page, publicFile); err != nil {
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
		for _, c := range found.charts() {
			if err := c.save(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

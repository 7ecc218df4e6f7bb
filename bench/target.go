// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
)

// target is a figure that the project aims at.
type target struct {
	Subject  string   `json:"subject"`
	Operator string   `json:"operator"`
	Limit    float64  `json:"limit"`
	Unit     string   `json:"unit,omitempty"`
	Measured *float64 `json:"measured"`
	Verdict  string   `json:"verdict"`
}

// The operators that a measured value and its limit can have between them.
const (
	atLeast  = "≥"
	atMost   = "≤"
	lessThan = "<"
)

// newTarget compares a measured value, or nil where a contender is missing, with
// its limit.
func newTarget(subject, operator string, limit float64, unit string, measured *float64) target {
	t := target{Subject: subject, Operator: operator, Limit: limit, Unit: unit, Measured: measured, Verdict: "not met"}
	switch {
	case measured == nil:
		t.Verdict = "not measured"
	case operator == atLeast && *measured >= limit,
		operator == atMost && *measured <= limit,
		operator == lessThan && *measured < limit:
		t.Verdict = "met"
	}
	return t
}

// writeTargets writes a table of all targets.
func writeTargets(w *bytes.Buffer, targets []target) {
	rows := make([][]string, len(targets))
	for i, t := range targets {
		measured := "–"
		if t.Measured != nil {
			measured = fmt.Sprintf("%.3g", *t.Measured) + t.Unit
		}
		rows[i] = []string{t.Subject, t.Operator + " " + fmt.Sprintf("%g", t.Limit) + t.Unit, measured, t.Verdict}
	}
	writeTable(w, []string{"target", "limit", "measured", "verdict"}, rows)
}

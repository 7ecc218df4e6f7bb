// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
)

// table is what was measured of contenders under the same conditions.
type table struct {
	Title string `json:"title,omitempty"` // where an experiment has several tables
	Rows  []*row `json:"contenders"`
	Chart chart  `json:"-"`

	quantities []string // the columns
	ratioOf    string   // the contender whose ratio to the others is shown, if any: of the first quantity
}

// row is what was measured of a contender: for each quantity a value of each
// round.
type row struct {
	Name    string               `json:"name"`
	Figures map[string][]float64 `json:"figures,omitempty"`
	Note    string               `json:"note,omitempty"` // what went wrong, if anything did
}

// summaries say how the rounds of a quantity make one value. It is their median
// for all others.
var summaries = map[string]func([]float64) float64{
	longestLatency: slices.Max[[]float64],
	requests:       floats.Sum,
	failed:         floats.Sum,
	fromStock:      slices.Min[[]float64],
}

// add adds a row without figures.
func (t *table) add(name string) *row {
	r := &row{Name: name, Figures: make(map[string][]float64)}
	t.Rows = append(t.Rows, r)
	return r
}

// find returns the row of a contender, an empty one if it was left out or
// something went wrong with it.
func (t *table) find(name string) *row {
	for _, r := range t.Rows {
		if r.Name == name && r.Note == "" {
			return r
		}
	}
	return new(row)
}

// set adds the value of a round.
func (r *row) set(quantity string, value float64) {
	r.Figures[quantity] = append(r.Figures[quantity], value)
}

// summary returns what the rounds of a quantity make together, nil if there are
// none.
func (r *row) summary(quantity string) *float64 {
	values := r.Figures[quantity]
	if len(values) == 0 {
		return nil
	}
	if summarize := summaries[quantity]; summarize != nil {
		return new(summarize(values))
	}
	return new(median(values))
}

// spread returns how far the middle half of the rounds reaches, in percent of the
// median, nil if there are none.
func (r *row) spread(quantity string) *float64 {
	values := r.Figures[quantity]
	if len(values) == 0 {
		return nil
	}
	return new(100 * (percentile(values, 75) - percentile(values, 25)) / median(values))
}

// ratio returns how many times as much of a quantity a contender has as another
// one, nil if that was not measured of both. It is the median of the ratios of
// values that were measured in the same round: what slows a machine down for a
// while slows both down, so it hardly shows in their ratio.
func (t *table) ratio(quantity, name, other string) *float64 {
	numerators, denominators := t.find(name).Figures[quantity], t.find(other).Figures[quantity]
	if len(numerators) == 0 || len(numerators) != len(denominators) {
		return nil
	}
	return new(median(floats.DivTo(make([]float64, len(numerators)), numerators, denominators)))
}

// Markdown returns the table for a page.
func (t *table) Markdown() string {
	header := append([]string{"contender"}, t.quantities...)
	if t.ratioOf != "" {
		header = slices.Insert(header, 2, "spread %", "ratio")
	}
	rows := make([][]string, len(t.Rows))
	for i, r := range t.Rows {
		rows[i] = []string{r.Name}
		for _, quantity := range t.quantities {
			rows[i] = append(rows[i], format(r.summary(quantity)))
		}
		if t.ratioOf != "" {
			first := t.quantities[0]
			rows[i] = slices.Insert(rows[i], 2, format(r.spread(first)), format(t.ratio(first, t.ratioOf, r.Name)))
		}
	}
	return markdownTable(header, rows)
}

// format returns a value with three digits, more before the point. A dash stands
// for none.
func format(value *float64) string {
	switch {
	case value == nil:
		return "–"
	case *value >= 100:
		return fmt.Sprintf("%.0f", *value)
	default:
		return fmt.Sprintf("%.3g", *value)
	}
}

// markdownTable returns a table that can be read as it is, too. All columns but
// the first are aligned at the right on a page.
func markdownTable(header []string, rows [][]string) string {
	rule := slices.Repeat([]string{"---:"}, len(header))
	rule[0] = "---"
	text := new(strings.Builder)
	aligned := tabwriter.NewWriter(text, 0, 0, 1, ' ', 0)
	for _, cells := range slices.Concat([][]string{header, rule}, rows) {
		_, _ = fmt.Fprintf(aligned, "| %s\t|\n", strings.Join(cells, "\t| "))
	}
	_ = aligned.Flush() // cannot fail: it is in memory
	return text.String()
}

// median returns the middle of the values, of which there must be one at least.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// percentile returns the least value that p percent of the values do not exceed.
// There must be one at least.
func percentile(values []float64, p float64) float64 {
	return stat.Quantile(p/100, stat.Empirical, slices.Sorted(slices.Values(values)), nil)
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"image/color"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// chart shows a table's quantities: a bar for each contender or, on a logarithmic
// axis, a dot for each quantity.
type chart struct {
	Name       string // of the file
	Title      string
	quantities []string
	log        bool // for values that differ by orders of magnitude
}

const (
	chartWidth = 7 * vg.Inch
	rowHeight  = 0.35 * vg.Inch
	chartFrame = vg.Inch // title and axis

	// Left at the right for the numbers beside the values.
	headroom    = 1.15
	logHeadroom = 5
)

// chartColors are for the first quantity, the second, and so on.
var chartColors = []color.Color{
	color.RGBA{R: 0x1f, G: 0x6f, B: 0xb4, A: 0xff},
	color.RGBA{R: 0xd9, G: 0x5f, B: 0x02, A: 0xff},
}

// saveChart writes the table's chart as an SVG file, if there is anything to show.
func (t *table) saveChart(dir string) error {
	c := t.Chart
	rows := slices.DeleteFunc(slices.Clone(t.Rows), func(r *row) bool {
		return slices.ContainsFunc(c.quantities, func(quantity string) bool { return r.summary(quantity) == nil })
	})
	if c.Name == "" || len(rows) == 0 {
		return nil
	}
	slices.Reverse(rows) // the first row is to be at the top
	p := plot.New()
	p.Title.Text, p.Title.Padding = c.Title, vg.Points(8)
	names := make([]string, len(rows))
	numbers := plotter.XYLabels{XYs: make(plotter.XYs, len(rows)), Labels: make([]string, len(rows))}
	for i, r := range rows {
		names[i] = r.Name
		numbers.XYs[i].Y = float64(i)
		texts := make([]string, len(c.quantities))
		for j, quantity := range c.quantities {
			value := r.summary(quantity)
			mark, err := c.mark(float64(i), *value, chartColors[j])
			if err != nil {
				return err
			}
			p.Add(mark)
			texts[j] = format(value)
			numbers.XYs[i].X = max(numbers.XYs[i].X, *value)
		}
		numbers.Labels[i] = strings.Join(texts, " / ")
	}
	beside, err := plotter.NewLabels(numbers)
	if err != nil {
		return err
	}
	beside.Offset = vg.Point{X: vg.Points(7), Y: vg.Points(-3)}
	p.Add(beside)
	p.NominalY(names...)
	p.Y.Label.Text = " " // a margin
	p.Y.Min, p.Y.Max = -0.6, float64(len(rows))-0.4
	if c.log {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		p.X.Min, p.X.Max = p.X.Min/headroom, p.X.Max*logHeadroom
	} else {
		p.X.Min, p.X.Max = 0, p.X.Max*headroom
	}
	return p.Save(chartWidth, chartFrame+vg.Length(len(rows))*rowHeight, filepath.Join(dir, c.Name+".svg"))
}

// mark is what stands for a value.
func (c chart) mark(y, value float64, shade color.Color) (plot.Plotter, error) {
	if c.log {
		dot, err := plotter.NewScatter(plotter.XYs{{X: value, Y: y}})
		if err == nil {
			dot.GlyphStyle = draw.GlyphStyle{Color: shade, Radius: vg.Points(4), Shape: draw.CircleGlyph{}}
		}
		return dot, err
	}
	bar, err := plotter.NewBarChart(plotter.Values{value}, rowHeight/2)
	if err == nil {
		bar.Horizontal, bar.XMin, bar.Color, bar.LineStyle.Width = true, y, shade, 0
	}
	return bar, err
}

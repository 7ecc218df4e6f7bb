// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is a row for each contender, with one value or several.
type chart struct {
	name   string // of the file
	title  string
	format string // of a value
	log    bool   // for values that differ by orders of magnitude: dots instead of bars
	labels []string
	values [][]float64
}

const (
	chartWidth = 7 * vg.Inch
	rowHeight  = 0.35 * vg.Inch
	chartFrame = 1.2 * vg.Inch // margins, title and axis
	margin     = 0.15 * vg.Inch

	// headroom is left at the right for the numbers beside the values.
	headroom    = 1.15
	logHeadroom = 5
)

// chartColors are for the first value of each row, the second, and so on.
var chartColors = []color.Color{
	color.RGBA{R: 0x1f, G: 0x6f, B: 0xb4, A: 0xff},
	color.RGBA{R: 0xd9, G: 0x5f, B: 0x02, A: 0xff},
}

// add adds a row.
func (c *chart) add(label string, values ...float64) {
	c.labels = append(c.labels, label)
	c.values = append(c.values, values)
}

// save writes the chart as an SVG file.
func (c *chart) save(dir string) error {
	p, err := c.plot()
	if err != nil {
		return fmt.Errorf("chart %s: %w", c.name, err)
	}
	canvas := vgsvg.New(chartWidth, chartFrame+vg.Length(len(c.labels))*rowHeight)
	area := draw.New(canvas)
	area.SetColor(color.White)
	area.Fill(area.Path())
	p.Draw(draw.Crop(area, margin, -margin, margin, -margin))

	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return fmt.Errorf("chart %s: %w", c.name, err)
	}
	return os.WriteFile(filepath.Join(dir, c.name+".svg"), svg.Bytes(), publicFile)
}

func (c *chart) plot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = c.title
	p.Title.Padding = vg.Points(8)
	rows := len(c.labels)

	// The first row is to be at the top.
	labels := slices.Clone(c.labels)
	slices.Reverse(labels)
	p.NominalY(labels...)
	p.X.Min = 0
	if c.log {
		p.X.Min = slices.Min(slices.Concat(c.values...))
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	for row, values := range c.values {
		if err := c.drawRow(p, float64(rows-1-row), values); err != nil {
			return nil, err
		}
	}
	p.Y.Min, p.Y.Max = -0.6, float64(rows)-0.4
	p.X.Max *= headroom
	if c.log {
		p.X.Min /= headroom
		p.X.Max *= logHeadroom
	}
	return p, nil
}

// drawRow draws the values of a row, and their numbers beside the largest.
func (c *chart) drawRow(p *plot.Plot, y float64, values []float64) error {
	numbers := make([]string, len(values))
	for i, value := range values {
		mark, err := c.mark(y, value, chartColors[i])
		if err != nil {
			return err
		}
		p.Add(mark)
		numbers[i] = fmt.Sprintf(c.format, value)
	}
	text, err := plotter.NewLabels(plotter.XYLabels{
		XYs:    plotter.XYs{{X: slices.Max(values), Y: y}},
		Labels: []string{strings.Join(numbers, " / ")},
	})
	if err != nil {
		return err
	}
	text.Offset = vg.Point{X: vg.Points(7), Y: vg.Points(-3)}
	p.Add(text)
	return nil
}

// mark is what stands for a value.
func (c *chart) mark(y, value float64, shade color.Color) (plot.Plotter, error) {
	if !c.log {
		bar, err := plotter.NewBarChart(plotter.Values{value}, rowHeight/2)
		if err != nil {
			return nil, err
		}
		bar.Horizontal, bar.XMin, bar.Color, bar.LineStyle.Width = true, y, shade, 0
		return bar, nil
	}
	dot, err := plotter.NewScatter(plotter.XYs{{X: value, Y: y}})
	if err != nil {
		return nil, err
	}
	dot.GlyphStyle = draw.GlyphStyle{Color: shade, Radius: vg.Points(4), Shape: draw.CircleGlyph{}}
	return dot, nil
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"image/color"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
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
	rowHeight  = 0.4 * vg.Inch
	chartFrame = 1.1 * vg.Inch // title and axis

	// headroom is left at the right for the numbers beside the values.
	headroom = 1.15
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
	p := plot.New()
	p.Title.Text = c.title
	p.Title.Padding = vg.Points(8)
	rows := len(c.labels)

	// The first row is to be at the top.
	labels := slices.Clone(c.labels)
	slices.Reverse(labels)
	p.NominalY(labels...)
	if c.log {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	for row, values := range c.values {
		for i, value := range values {
			if err := c.draw(p, float64(rows-1-row), value, chartColors[i]); err != nil {
				return fmt.Errorf("chart %s: %w", c.name, err)
			}
		}
	}
	p.Y.Min, p.Y.Max = -0.6, float64(rows)-0.4
	if c.log {
		p.X.Min /= headroom
		p.X.Max *= 2 * headroom
	} else {
		p.X.Min = 0
		p.X.Max *= headroom
	}
	err := p.Save(chartWidth, chartFrame+vg.Length(rows)*rowHeight, filepath.Join(dir, c.name+".svg"))
	if err != nil {
		return fmt.Errorf("chart %s: %w", c.name, err)
	}
	return nil
}

// draw draws one value and its number.
func (c *chart) draw(p *plot.Plot, y, value float64, shade color.Color) error {
	at := plotter.XYs{{X: value, Y: y}}
	if c.log {
		dots, err := plotter.NewScatter(at)
		if err != nil {
			return err
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: shade, Radius: vg.Points(4), Shape: draw.CircleGlyph{}}
		p.Add(dots)
	} else {
		bar, err := plotter.NewBarChart(plotter.Values{value}, rowHeight/2)
		if err != nil {
			return err
		}
		bar.Horizontal, bar.XMin, bar.Color, bar.LineStyle.Width = true, y, shade, 0
		p.Add(bar)
	}
	number, err := plotter.NewLabels(plotter.XYLabels{XYs: at, Labels: []string{fmt.Sprintf(c.format, value)}})
	if err != nil {
		return err
	}
	number.Offset = vg.Point{X: vg.Points(7), Y: vg.Points(-3)}
	if c.log {
		// Values of a row can be close together: the numbers stand above them.
		number.Offset = vg.Point{X: vg.Points(-4), Y: vg.Points(5)}
	}
	p.Add(number)
	return nil
}

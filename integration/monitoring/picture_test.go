// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"fmt"
	"html"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// The measures of the picture, in pixels.
const (
	column, row = 50, 26 // of Grafana's grid, which has 24 columns
	margin      = 12
	titleHeight = 24
)

var lineColors = []string{"#1f6fb4", "#d95f02", "#2a9d4a", "#b5179e", "#8c6d31", "#d62728", "#17a2b8", "#555555", "#e6a700", "#7b4fc9"}

// TestPicture draws the dashboard as it is after some minutes in which everything
// happens, for the README of the example.
func TestPicture(t *testing.T) {
	file := os.Getenv("MONITORING_PICTURE")
	if file == "" {
		t.Skip("draws into the file that MONITORING_PICTURE names")
	}
	requirePrometheus(t)
	s := startSite(t)
	s.up.Latency = 150 * time.Millisecond
	ticker := time.NewTicker(120 * time.Millisecond)
	defer ticker.Stop()
	s.pace = ticker.C
	p := startPrometheus(t, s.AdminURL, lastWeek(time.Now(), 4))
	caddytest.Eventually(t, "Caddy is scraped", func() bool { return !p.active()["XAITokenNotScraped"] })
	start := time.Now()
	s.everything()
	caddytest.WriteFile(t, file, readDashboard(t).draw(t, p, start))
}

// draw returns the dashboard as SVG.
func (d *dashboard) draw(t *testing.T, p *prometheus, start time.Time) string {
	t.Helper()
	bottom := 0
	var panels strings.Builder
	for _, panel := range d.Panels {
		at := panel.GridPos
		bottom = max(bottom, at.Y+at.H)
		width, height := at.W*column-margin, at.H*row-margin
		fmt.Fprintf(&panels, `<g transform="translate(%d %d)"><rect width="%d" height="%d" class="panel"/><text x="10" y="17" class="title">%s</text>`,
			at.X*column+margin, at.Y*row+margin, width, height, html.EscapeString(panel.Title))
		var lines []line
		for _, target := range panel.Targets {
			found, err := p.queryRange(d.fill(t, target.Expr, "5s"), start)
			if err != nil {
				t.Fatal(err)
			}
			for _, series := range found {
				lines = append(lines, newLine(series, target.LegendFormat))
			}
		}
		unit := panel.FieldConfig.Defaults.Unit
		if panel.Type == "timeseries" {
			drawLines(&panels, lines, unit, width, height)
		} else {
			last := lines[0].values[len(lines[0].values)-1]
			fmt.Fprintf(&panels, `<text x="%d" y="%d" class="number">%s</text>`, width/2, height/2+22, inUnit(last, unit))
		}
		panels.WriteString("</g>\n")
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">
<style>.panel{fill:#fff;stroke:#ccc}.title{font-size:13px;font-weight:bold}.number{font-size:30px;text-anchor:middle}.axis{fill:#666}polyline{fill:none;stroke-width:1.5}</style>
<rect width="100%%" height="100%%" fill="#f4f5f5"/>
%s</svg>
`, 24*column+margin, bottom*row+margin, &panels)
}

// line is a series to be drawn.
type line struct {
	name   string
	times  []float64
	values []float64
}

func newLine(s series, legend string) line {
	for label, value := range s.Metric {
		legend = strings.ReplaceAll(legend, "{{"+label+"}}", value)
	}
	l := line{name: legend}
	for _, sample := range s.Values {
		at, _ := sample[0].(float64)
		if value := number(sample); !math.IsNaN(value) { // as a quantile of nothing is
			l.times, l.values = append(l.times, at), append(l.values, value)
		}
	}
	return l
}

// drawLines draws what was ever more than nothing, and its names below.
func drawLines(svg *strings.Builder, lines []line, unit string, width, height int) {
	lines = slices.DeleteFunc(lines, func(l line) bool { return len(l.values) == 0 || slices.Max(l.values) == 0 })
	first, last, top := lines[0].times[0], lines[0].times[0], 0.0
	for _, l := range lines {
		first, last, top = min(first, l.times[0]), max(last, l.times[len(l.times)-1]), max(top, slices.Max(l.values))
	}
	const left, below, legendRows = 50, 56, 3
	plotWidth, plotHeight := float64(width-left-10), float64(height-titleHeight-below)
	fmt.Fprintf(svg, `<text x="6" y="%d" class="axis">%s</text><text x="6" y="%d" class="axis">0</text><path d="M%d %dh%.0f" stroke="#ccc"/>`,
		titleHeight+10, inUnit(top, unit), height-below, left, height-below, plotWidth)
	legendX, widest := left, 0
	for i, l := range lines {
		color := lineColors[i%len(lineColors)]
		var points strings.Builder
		for j, value := range l.values {
			fmt.Fprintf(&points, "%.0f,%.1f ", left+plotWidth*(l.times[j]-first)/(last-first), titleHeight+plotHeight*(1-value/top))
		}
		fmt.Fprintf(svg, `<polyline points="%s" stroke="%s"/>`, points.String(), color)
		fmt.Fprintf(svg, `<text x="%d" y="%d" fill="%s">%s</text>`, legendX, height-below+18+14*(i%legendRows), color, html.EscapeString(l.name))
		if widest = max(widest, len(l.name)); i%legendRows == legendRows-1 {
			legendX, widest = legendX+6*widest+16, 0
		}
	}
}

// inUnit writes a number in a unit of Grafana.
func inUnit(value float64, unit string) string {
	switch unit {
	case "s":
		return fmt.Sprintf("%.0f ms", 1000*value)
	case "currencyUSD":
		return fmt.Sprintf("$%.0f", value)
	case "percentunit":
		return fmt.Sprintf("%.0f %%", 100*value)
	}
	return fmt.Sprintf("%.0f", value)
}

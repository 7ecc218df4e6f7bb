// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newTestReport is one of a run that had no Python and in which an experiment
// failed.
func newTestReport() *report {
	rates := &table{quantities: []string{perSecond, serverCPU}, ratioOf: minting, Chart: chart{Name: "throughput", Title: "Rates", quantities: []string{perSecond}}}
	for name, values := range map[string][]float64{minting: {9000, 900, 9100}, recipe: {4500, 450, 4600}, expressApp: {3000, 300, 3000}} {
		rates.add(name).Figures[perSecond] = values
	}
	rates.find(minting).Figures[serverCPU] = []float64{70, 71, 72}

	waits := &table{Title: "a scenario", quantities: []string{medianLatency, longestLatency, fromStock}, Chart: chart{
		Name: "latency", Title: "Waits", quantities: []string{medianLatency, longestLatency}, log: true,
	}}
	waits.add(prefetching).Figures = map[string][]float64{medianLatency: {0.5, 0.4, 0.6}, longestLatency: {7, 20, 9}, fromStock: {100, 99.5, 100}}
	waits.add(recipe).Figures = map[string][]float64{medianLatency: {151, 152, 150}, longestLatency: {190, 170, 180}}
	slow := waits.add(expressApp)
	slow.Figures, slow.Note = nil, "does not keep up"

	return &report{
		Environment: map[string]string{"CPU": "Abacus"},
		LeftOut:     []string{"FastAPI: no python3"},
		Failed:      []string{"memory: needs Linux"},
		Results: []*result{
			{Name: "throughput", Subject: "tokens", Connections: 32, Tables: []*table{rates}, Targets: []target{
				{"minting / recipe", atLeast, 1.3, rates.ratio(perSecond, minting, recipe)},
				{"minting / Express", atLeast, 7, rates.ratio(perSecond, minting, expressApp)},
				{"minting / FastAPI", atLeast, 200, rates.ratio(perSecond, minting, fastAPIApp)},
			}},
			{Name: "latency", Subject: "times", Tables: []*table{waits}, Targets: latencyTargets(waits)},
		},
	}
}

func TestReport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	var page bytes.Buffer
	if err := newTestReport().save(dir, &page); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(page.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ") // without the columns' widths
	}
	text := strings.Join(lines, "\n")
	for _, want := range []string{
		"- CPU: Abacus\n- left out: FastAPI: no python3\n- **failed**: memory: needs Linux\n\n## Targets\n\n|",
		"| throughput: minting / recipe | ≥ 1.3 | 2 | met |",
		"| throughput: minting / Express | ≥ 7 | 3 | not met |",
		"| throughput: minting / FastAPI | ≥ 200 | – | not measured |",
		"| latency: prefetching / recipe, median (a scenario) | ≤ 0.01 | 0.00331 | met |",
		"| latency: prefetching / recipe, p99 (a scenario) | ≤ 0.05 | – | not measured |",
		"| latency: prefetching, from stock % (a scenario) | ≥ 99 | 99.5 | met |",
		"\n\n## throughput: tokens\n\n32 connections",
		"| contender | requests/s | spread % | ratio | server µs |\n| --- | ---: | ---: | ---: | ---: |\n",
		"| plugin, minting | 9000 | 91.1 | 1 | 71 |",
		"| reverse_proxy recipe | 4500 | 92.2 | 2 | – |",
		"\n\n![Rates](throughput.svg)\n",
		"\n\n### a scenario\n\n| contender | median ms | longest ms | from stock % |\n",
		"| plugin, prefetching | 0.5 | 20 | 99.5 |",
		"| Express | – | – | – |\n\nExpress: does not keep up\n\n![Waits](latency.svg)\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(page.String())
	}
	if saved, err := os.ReadFile(filepath.Join(dir, "report.md")); err != nil || !bytes.Equal(saved, page.Bytes()) {
		t.Errorf("report.md is another page, or none: %v", err)
	}
	for _, name := range []string{"throughput.svg", "latency.svg"} {
		picture, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Contains(picture, []byte("<svg")) || !bytes.Contains(picture, []byte(recipe)) {
			t.Errorf("%s is no chart of the contenders: %v", name, err)
		}
	}
	figures, err := os.ReadFile(filepath.Join(dir, "figures.json"))
	if err != nil {
		t.Fatal(err)
	}
	var decoded report
	if err := json.Unmarshal(figures, &decoded); err != nil {
		t.Fatal(err)
	}
	if got := decoded.Results[0].Tables[0].find(recipe).Figures[perSecond]; len(got) != 3 || got[2] != 4600 {
		t.Errorf("in figures.json the recipe's rounds are %v", got)
	}
}

func TestVerdict(t *testing.T) {
	for name, test := range map[string]struct {
		operator string
		measured *float64
		want     string
	}{
		"at least, equal":    {atLeast, new(1.0), "met"},
		"at least, less":     {atLeast, new(0.9), "not met"},
		"at most, equal":     {atMost, new(1.0), "met"},
		"at most, more":      {atMost, new(1.1), "not met"},
		"nothing to compare": {atMost, nil, "not measured"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (target{Operator: test.operator, Limit: 1, Measured: test.measured}).verdict(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestMedian(t *testing.T) {
	for name, test := range map[string]struct {
		values []float64
		want   float64
	}{
		"of one":              {[]float64{7}, 7},
		"of an odd number":    {[]float64{9, 1, 5}, 5},
		"of an even number":   {[]float64{4, 1, 3, 100}, 3.5},
		"is not moved by one": {[]float64{1, 1, 1, 1, 1e9}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := median(test.values); got != test.want {
				t.Errorf("got %g, want %g", got, test.want)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	values := make([]float64, 200)
	for i := range values {
		values[len(values)-1-i] = float64(i + 1) // 200 to 1: it must sort
	}
	for p, want := range map[float64]float64{50: 100, 90: 180, 99: 198, 100: 200} {
		if got := percentile(values, p); got != want {
			t.Errorf("p%g of 1 to 200 is %g, want %g", p, got, want)
		}
	}
	if values[0] != 200 {
		t.Error("the values were sorted in place")
	}
}

// TestRatio has a machine that is ten times slower in the second round.
func TestRatio(t *testing.T) {
	compared := new(table)
	compared.add("a").Figures["x"] = []float64{200, 20, 190}
	compared.add("b").Figures["x"] = []float64{100, 10, 100}
	if got := compared.ratio("x", "a", "b"); got == nil || *got != 2 {
		t.Errorf("got %v, want 2", format(got))
	}
	compared.Rows[1].Note = "failed"
	if got := compared.ratio("x", "a", "b"); got != nil {
		t.Errorf("got %g to a contender that failed", *got)
	}
}

func TestParseSettings(t *testing.T) {
	t.Run("a short run leaves out what is slow, and keeps what is set", func(t *testing.T) {
		s, chosen, err := parseSettings([]string{"-short", "-rounds", "3"}, t.Output())
		if err != nil {
			t.Fatal(err)
		}
		if s.Rounds != 3 || s.LatencyDuration != 400*time.Millisecond || s.results != "results/short" {
			t.Errorf("got %+v", s)
		}
		for _, e := range chosen {
			if e.slow {
				t.Errorf("%s is slow", e.name)
			}
		}
	})
	t.Run("a slow experiment can be named", func(t *testing.T) {
		_, chosen, err := parseSettings([]string{"-short", "binary"}, t.Output())
		if err != nil || len(chosen) != 1 || chosen[0].name != "binary" {
			t.Errorf("got %d experiments, error %v", len(chosen), err)
		}
	})
	for name, args := range map[string][]string{
		"an unknown experiment is refused": {"thruput"},
		"no rounds are refused":            {"-rounds", "0"},
		"an endless run is refused":        {"-duration", "1000h"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := parseSettings(args, t.Output()); err == nil {
				t.Error("got no error")
			}
		})
	}
}

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
	r := &report{
		Environment: environment{CPU: "Abacus", Cores: 2, Kernel: "linux 6", Versions: []string{"Go 1.26.8"}},
		LeftOut:     []string{"FastAPI: no python3"},
		Failed:      []string{"memory: needs Linux"},
		Results:     make(map[string]result),
	}
	r.add("throughput", &throughput{Name: "throughput", Connections: 32, Contenders: []throughputFigures{
		{Name: minting, PerSecond: []float64{9000, 900, 9100}, ServerCPU: []float64{70, 71, 72}, UpstreamCPU: []float64{20, 20, 20}, GeneratorCPU: []float64{30, 30, 30}},
		{Name: recipe, PerSecond: []float64{4500, 450, 4600}},
		{Name: expressApp, PerSecond: []float64{3000, 300, 3000}},
	}})
	r.add("latency", &latency{Scenarios: []scenario{{Rate: keyRate, Upstream: keyLatency, Contenders: []latencyFigures{
		{Name: prefetching, KeptUp: true, Requests: 3000, All: percentiles{0.5, 0.7, 9, 20}, StockHits: new(0.995)},
		{Name: recipe, KeptUp: true, Requests: 3000, All: percentiles{151, 152, 160, 190}},
		{Name: expressApp, Requests: 120, All: percentiles{900, 1000, 2000, 3000}},
	}}}})
	return r
}

func TestReportMarkdown(t *testing.T) {
	var page bytes.Buffer
	newTestReport().writeMarkdown(&page)
	lines := strings.Split(page.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ") // without the columns' widths
	}
	text := strings.Join(lines, "\n")
	for _, want := range []string{
		"- CPU: Abacus, 2 cores",
		"- left out: FastAPI: no python3",
		"- **failed**: memory: needs Linux",
		"| throughput: minting / recipe | ≥ 1.8 | 2 | met |",
		"| throughput: minting / Express | ≥ 7 | 3 | not met |",
		"| throughput: minting / FastAPI | ≥ 200 | – | not measured |",
		"| latency at 50/s, upstream 150ms: prefetching / recipe, median | < 1 % | 0.331 % | met |",
		"| latency at 50/s, upstream 150ms: prefetching / recipe, p99 | < 5 % | 5.62 % | not met |",
		"| latency at 50/s, upstream 150ms: prefetching, from stock | ≥ 99 % | 99.5 % | met |",
		"| plugin, minting | 9000 | 1.00 | 71 µs | 20 µs | 30 µs |",
		"| reverse_proxy recipe | 4500 | 2.00 | – | – | – |",
		"| Express | does not keep up | – | – | – | 120 | 0 | | 0.00 ms |",
		"![Requests answered in a second](throughput.svg)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(page.String())
	}
}

func TestReportSave(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	if err := newTestReport().save(dir, []byte("page")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"throughput.svg", "latency-50-150ms.svg"} {
		chart, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(chart, []byte("<svg")) || !bytes.Contains(chart, []byte(recipe)) {
			t.Errorf("%s is no chart of the contenders", name)
		}
	}
	figures, err := os.ReadFile(filepath.Join(dir, "figures.json"))
	if err != nil {
		t.Fatal(err)
	}
	var decoded struct {
		Results struct {
			Throughput throughput `json:"throughput"`
		} `json:"results"`
		Targets []target `json:"targets"`
	}
	if err := json.Unmarshal(figures, &decoded); err != nil {
		t.Fatal(err)
	}
	if got := decoded.Results.Throughput.Contenders[1].PerSecond; len(got) != 3 || got[2] != 4600 {
		t.Errorf("the recipe's rounds are %v", got)
	}
	if len(decoded.Targets) != 8 {
		t.Errorf("%d targets, want 8", len(decoded.Targets))
	}
}

func TestNewTarget(t *testing.T) {
	for name, test := range map[string]struct {
		operator string
		measured *float64
		want     string
	}{
		"at least, more":     {atLeast, new(1.1), "met"},
		"at least, equal":    {atLeast, new(1.0), "met"},
		"at least, less":     {atLeast, new(0.9), "not met"},
		"at most, equal":     {atMost, new(1.0), "met"},
		"at most, more":      {atMost, new(1.1), "not met"},
		"less than, equal":   {lessThan, new(1.0), "not met"},
		"less than, less":    {lessThan, new(0.9), "met"},
		"nothing to compare": {lessThan, nil, "not measured"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := newTarget("", test.operator, 1, "", test.measured).Verdict; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
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

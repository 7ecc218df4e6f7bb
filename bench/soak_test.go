// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSoak runs everything for a moment, in which nothing can be told of growth.
func TestSoak(t *testing.T) {
	var page bytes.Buffer
	csv := filepath.Join(t.TempDir(), "soak.csv")
	err := runSoak(t.Context(), []string{"-duration", "5s", "-reload", "500ms", "-sample", "500ms", "-results", csv}, &page, t.Output())
	if err != nil && !strings.Contains(err.Error(), " grew from ") {
		t.Error(err)
	}
	if !strings.Contains(page.String(), "| goroutines ") {
		t.Errorf("the report is %q", page.String())
	}
}

func TestSoakStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := runSoak(ctx, nil, new(bytes.Buffer), t.Output()); err == nil {
		t.Error("a soak that was interrupted succeeded")
	}
}

func TestCompareThirds(t *testing.T) {
	samplesOf := func(value func(i int) float64) []sample {
		samples := make([]sample, 30)
		for i := range samples {
			samples[i] = sample{at: time.Duration(i) * time.Second, values: []float64{value(i), 90, 70, 6}}
		}
		return samples
	}
	tests := []struct {
		name  string
		value func(i int) float64
		grown int
	}{
		{"flat", func(int) float64 { return 150 }, 0},
		{"warming up", func(i int) float64 { return 150 + 100*float64(min(i, 9)) }, 0},
		{"up and down", func(i int) float64 { return 150 + 50*float64(i%2) }, 0},
		{"one outlier", func(i int) float64 { return 150 + 1000*float64(i/29) }, 0},
		{"two more in each sample", func(i int) float64 { return 150 + 4*float64(i) }, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if grown := compareThirds(samplesOf(test.value)); len(grown) != test.grown {
				t.Errorf("got %q", grown)
			}
		})
	}
	t.Run("too few", func(t *testing.T) {
		if grown := compareThirds(samplesOf(tests[0].value)[:minSamples-1]); len(grown) != 1 {
			t.Errorf("got %q", grown)
		}
	})
}

// TestSoakFaults has answers that are wrong.
func TestSoakFaults(t *testing.T) {
	token := []byte(`{"value":"a token"}`)
	tried := func() *soakLoad {
		l := newSoakLoad("", 300)
		l.record("/session", http.StatusOK, http.StatusOK, token, nil)
		l.limited, l.refused, l.left, l.slow = 1, 1, 1, 1
		return l
	}
	tests := []struct {
		name   string
		record func(*soakLoad)
		fault  string
	}{
		{"nothing", func(*soakLoad) {}, ""},
		{"a token that came before", func(l *soakLoad) { l.record("/stock", http.StatusOK, http.StatusOK, token, nil) }, "handed out twice"},
		{"another status", func(l *soakLoad) { l.record("/session", http.StatusOK, http.StatusBadGateway, nil, nil) }, "got 502, want 200"},
		{"a token for a refused key", func(l *soakLoad) { l.record("/session", http.StatusBadGateway, http.StatusOK, token, nil) }, "got 200, want 502"},
		{"no token", func(l *soakLoad) { l.record("/session", http.StatusOK, http.StatusOK, []byte("{}"), nil) }, "without a token"},
		{"broken connections", func(l *soakLoad) { l.broken = 2*steadyClients + 1 }, "connections broke"},
		{"no slow clients", func(l *soakLoad) { l.slow = 0 }, "not everything was tried"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := tried()
			test.record(l)
			faults := strings.Join(l.faults(1), "\n")
			if (faults == "") != (test.fault == "") || !strings.Contains(faults, test.fault) {
				t.Errorf("got %q, want %q", faults, test.fault)
			}
		})
	}
}

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

func TestSamplesGrown(t *testing.T) {
	samplesOf := func(count int, value func(i int) float64) *samples {
		s := &samples{values: make(map[string][]float64)}
		for i := range count {
			s.moments = append(s.moments, time.Duration(i)*time.Second)
			s.values["goroutines"] = append(s.values["goroutines"], value(i))
		}
		return s
	}
	flat := func(int) float64 { return 150 }
	for name, test := range map[string]struct {
		count int
		value func(i int) float64
		grown int
	}{
		"flat":                    {30, flat, 0},
		"warming up":              {30, func(i int) float64 { return 150 + 100*float64(min(i, 9)) }, 0},
		"up and down":             {30, func(i int) float64 { return 150 + 50*float64(i%2) }, 0},
		"one outlier":             {30, func(i int) float64 { return 150 + 1000*float64(i/29) }, 0},
		"two more in each sample": {30, func(i int) float64 { return 150 + 4*float64(i) }, 1},
		"too few":                 {minSamples - 1, flat, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if grown := samplesOf(test.count, test.value).grown(); len(grown) != test.grown {
				t.Errorf("got %q", grown)
			}
		})
	}
}

// TestSoakFaults has answers that are wrong.
func TestSoakFaults(t *testing.T) {
	token := []byte(`{"value":"a token"}`)
	tried := func() *soakLoad {
		l := newSoakLoad("", 300)
		l.record("/session", http.StatusOK, http.StatusOK, token, nil)
		l.counts = map[string]int{issued: 1, limited: 1, refused: 1, hung: 1, ahead: 1, left: 1, slow: 1, reloads: 1}
		return l
	}
	tests := []struct {
		name   string
		record func(*soakLoad)
		fault  string
	}{
		{"nothing", func(*soakLoad) {}, ""},
		{"a token that came before", func(l *soakLoad) { l.record("/stock", http.StatusOK, http.StatusOK, token, nil) }, "was handed out before"},
		{"another status", func(l *soakLoad) { l.record("/session", http.StatusOK, http.StatusBadGateway, nil, nil) }, "got 502, want 200"},
		{"a token for a refused key", func(l *soakLoad) { l.record("/session", http.StatusBadGateway, http.StatusOK, token, nil) }, "got 200, want 502"},
		{"no token", func(l *soakLoad) { l.record("/session", http.StatusOK, http.StatusOK, []byte("{}"), nil) }, "without a token"},
		{"broken connections", func(l *soakLoad) { l.counts[broken] = 2*soakClients + 1 }, "connections broke"},
		{"no slow clients", func(l *soakLoad) { l.counts[slow] = 0 }, "not everything was tried"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := tried()
			test.record(l)
			faults := strings.Join(l.faults(), "\n")
			if (faults == "") != (test.fault == "") || !strings.Contains(faults, test.fault) {
				t.Errorf("got %q, want %q", faults, test.fault)
			}
		})
	}
}

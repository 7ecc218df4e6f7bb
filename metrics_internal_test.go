// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestMetricsBeginAtZero finds each series that an alert can be made of before
// anything happened.
func TestMetricsBeginAtZero(t *testing.T) {
	registry := prometheus.NewRegistry()
	if err := newMetricSet().register(registry); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string]int)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			series[family.GetName()]++
			if metric.GetCounter().GetValue() != 0 {
				t.Errorf("%s %v begins at %v", family.GetName(), metric.GetLabel(), metric.GetCounter().GetValue())
			}
		}
	}
	for name, want := range map[string]int{
		"caddy_xai_ephemeral_token_issued_total":              2,
		"caddy_xai_ephemeral_token_errors_total":              len(failures),
		"caddy_xai_ephemeral_token_discarded_total":           3,
		"caddy_xai_ephemeral_token_upstream_requests_total":   10,
		"caddy_xai_ephemeral_token_prefetched_tokens":         1,
		"caddy_xai_ephemeral_token_upstream_duration_seconds": 1,
	} {
		if series[name] != want {
			t.Errorf("%s has %d series, want %d", name, series[name], want)
		}
	}
}

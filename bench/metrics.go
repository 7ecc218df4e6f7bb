// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// What the plugin's metrics say about its tokens.
const (
	mintedCount     = `caddy_xai_ephemeral_token_issued_total{source="minted"}`
	prefetchedCount = `caddy_xai_ephemeral_token_issued_total{source="prefetched"}`
	stockedCount    = `caddy_xai_ephemeral_token_prefetched_tokens`
)

// stockLimit bounds how long filling the stock may take.
const stockLimit = 2 * time.Minute

// readMetrics asks a Caddy's admin API for its metrics, by their names and labels.
func readMetrics(ctx context.Context, admin string) (map[string]float64, error) {
	_, body, err := fetch(ctx, http.MethodGet, "http://"+admin+"/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the metrics of %s: %w", admin, err)
	}
	samples, err := expfmt.ExtractSamples(new(expfmt.DecodeOptions), slices.Collect(maps.Values(families))...)
	metrics := make(map[string]float64)
	for _, sample := range samples {
		metrics[sample.Metric.String()] = float64(sample.Value)
	}
	return metrics, err
}

// awaitStock waits until the plugin has a number of tokens in stock, and returns
// its metrics of that moment.
func awaitStock(ctx context.Context, admin string, want float64) (map[string]float64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stockLimit, fmt.Errorf("there are no %g tokens in stock after %s", want, stockLimit))
	defer cancel()
	for {
		metrics, err := readMetrics(ctx, admin)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil || metrics[stockedCount] >= want {
			return metrics, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	stockLimit = 2 * time.Minute
	stockPause = 20 * time.Millisecond
)

// tokenCounts is what the plugin's metrics say about its tokens.
type tokenCounts struct {
	minted     float64 // handed out, and minted for the request
	prefetched float64 // handed out, and minted ahead of it
	stock      float64 // waiting to be handed out
}

// fetchAdmin gets a page of a Caddy's admin API.
func fetchAdmin(ctx context.Context, admin, path string) ([]byte, error) {
	url := "http://" + admin + path
	status, body, err := fetch(ctx, http.MethodGet, url)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%s: got %d", url, status)
	}
	return body, nil
}

// readMetrics asks a Caddy's admin API for its metrics, by their names.
func readMetrics(ctx context.Context, admin string) (map[string]*dto.MetricFamily, error) {
	body, err := fetchAdmin(ctx, admin, "/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the metrics of %s: %w", admin, err)
	}
	return families, nil
}

// readTokenCounts makes counts of the plugin's metrics.
func readTokenCounts(ctx context.Context, admin string) (tokenCounts, error) {
	families, err := readMetrics(ctx, admin)
	if err != nil {
		return tokenCounts{}, err
	}
	const prefix = "caddy_xai_ephemeral_token_"
	var counts tokenCounts
	for _, metric := range families[prefix+"issued_total"].GetMetric() {
		switch labelValue(metric, "source") {
		case "minted":
			counts.minted += metric.GetCounter().GetValue()
		case "prefetched":
			counts.prefetched += metric.GetCounter().GetValue()
		}
	}
	for _, metric := range families[prefix+"prefetched_tokens"].GetMetric() {
		counts.stock += metric.GetGauge().GetValue()
	}
	return counts, nil
}

func labelValue(metric *dto.Metric, name string) string {
	for _, label := range metric.GetLabel() {
		if label.GetName() == name {
			return label.GetValue()
		}
	}
	return ""
}

// awaitStock waits until the plugin has a number of tokens in stock, and returns
// its metrics of that moment.
func awaitStock(ctx context.Context, admin string, want int) (tokenCounts, error) {
	deadline := time.Now().Add(stockLimit)
	for {
		counts, err := readTokenCounts(ctx, admin)
		if err != nil {
			return counts, err
		}
		if counts.stock >= float64(want) {
			return counts, nil
		}
		if time.Now().After(deadline) {
			return counts, fmt.Errorf("only %g tokens are in stock after %s, want %d", counts.stock, stockLimit, want)
		}
		select {
		case <-ctx.Done():
			return counts, ctx.Err()
		case <-time.After(stockPause):
		}
	}
}

// hits returns the share of the tokens handed out since then that came from the
// stock.
func (c tokenCounts) hits(since tokenCounts) float64 {
	minted, prefetched := c.minted-since.minted, c.prefetched-since.prefetched
	return prefetched / (minted + prefetched)
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/stock"
	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/xai"
)

// metrics is shared by all handlers and outlives configs: each config load has a
// registry of its own, in which the same collectors are registered again.
var metrics = newMetricSet()

// The values of the label source.
const (
	sourceMinted     = "minted"
	sourcePrefetched = "prefetched"
)

type metricSet struct {
	issued           *prometheus.CounterVec
	errors           *prometheus.CounterVec
	limited          *prometheus.CounterVec
	upstreamRequests *prometheus.CounterVec
	upstreamDuration prometheus.Histogram
	prefetchedTokens prometheus.Gauge
	discarded        *prometheus.CounterVec
}

// newMetricSet returns the collectors with each value of their labels, at 0: an
// alert on an increase sees only a series that was there before.
func newMetricSet() *metricSet {
	const namespace, subsystem = "caddy", "xai_ephemeral_token"
	m := &metricSet{
		issued: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "issued_total",
			Help: "Tokens handed out.",
		}, []string{"source"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "errors_total",
			Help: "Requests that ended without a token, by reason.",
		}, []string{"reason"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "limited_total",
			Help: "Requests that a rate limit refused, by the limit's place in the config, or failures.",
		}, []string{"limit"}),
		upstreamRequests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "upstream_requests_total",
			Help: "Calls to xAI, retries included, by the status of the answer; error where none came.",
		}, []string{"code"}),
		upstreamDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "upstream_duration_seconds",
			Help: "How long each call to xAI took.", Buckets: prometheus.DefBuckets,
		}),
		prefetchedTokens: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "prefetched_tokens",
			Help: "Tokens that were minted ahead and wait for a request.",
		}),
		discarded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "discarded_total",
			Help: "Tokens that were minted and not handed out, by reason.",
		}, []string{"reason"}),
	}
	for _, source := range []string{sourceMinted, sourcePrefetched} {
		m.issued.WithLabelValues(source)
	}
	for _, failure := range failures {
		m.errors.WithLabelValues(failure.reason)
	}
	for _, code := range []string{"200", "400", "401", "403", "429", "500", "502", "503", "504", xai.CodeError} {
		m.upstreamRequests.WithLabelValues(code)
	}
	for _, reason := range stock.Discards {
		m.discarded.WithLabelValues(reason)
	}
	return m
}

// register adds the collectors to the registry of a config. Several handlers of
// one config share it, so finding them there already is fine.
func (m *metricSet) register(registry *prometheus.Registry) error {
	for _, collector := range []prometheus.Collector{
		m.issued, m.errors, m.limited, m.upstreamRequests, m.upstreamDuration, m.prefetchedTokens, m.discarded,
	} {
		err := registry.Register(collector)
		if duplicate, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok && duplicate.ExistingCollector == collector {
			continue
		}
		if err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

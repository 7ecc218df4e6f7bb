// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
)

// experiment measures one property of the contenders.
type experiment struct {
	name    string
	subject string
	slow    bool // left out of a short run that does not name it
	run     func(ctx context.Context, l *lab) (result, error)
}

// experiments are all that there are, in the order in which they run.
var experiments = []experiment{
	{name: "throughput", subject: "tokens in a second when asked without pause", run: runThroughput},
	{name: "crowd", subject: "the same over more connections than reverse_proxy keeps to an upstream", run: runCrowd},
	{name: "stock", subject: "tokens in a second while prefetched ones last", run: runStock},
	{name: "latency", subject: "waiting times under requests that arrive at a rate", run: runLatency},
	{name: "memory", subject: "memory of requests that wait for the upstream", run: runMemory},
	{name: "binary", subject: "size of Caddy with and without the plugin", slow: true, run: runBinary},
}

// result is what an experiment has found. As JSON it is the raw figures.
type result interface {
	// writeMarkdown writes how it was measured, and a table.
	writeMarkdown(w *bytes.Buffer)

	// targets compares it with what the project aims at.
	targets() []target

	// charts shows it.
	charts() []chart
}

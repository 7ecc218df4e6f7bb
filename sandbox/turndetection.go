// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"time"
)

// turnDetection is how the server finds out whose turn it is. The zero value is
// that it does not.
type turnDetection struct {
	on        bool
	threshold float64
	silence   time.Duration // that ends a turn
	padding   time.Duration // before a turn
	idle      time.Duration // of both sides, until the agent speaks; 0 is for ever
}

var serverVAD = turnDetection{on: true, threshold: 0.85, silence: 500 * time.Millisecond, padding: 333 * time.Millisecond}

const longestTurnDetection = 10_000 // ms, of the silence and of the padding

// set takes over what is given in the field param. There alias means server_vad,
// too.
func (d *turnDetection) set(raw json.RawMessage, param, alias string) error {
	if raw == nil {
		return nil
	}
	var given *struct {
		Type      json.RawMessage `json:"type"`
		Threshold *float64        `json:"threshold"`
		Silence   *int64          `json:"silence_duration_ms"`
		Padding   *int64          `json:"prefix_padding_ms"`
		Idle      *int64          `json:"idle_timeout_ms"`
	}
	if err := decode(raw, &given); err != nil {
		return invalid(param, "turn_detection is null or an object with a type, and numbers.")
	}
	if given == nil || string(given.Type) == "null" {
		*d = turnDetection{}
		return nil
	}
	var kind string
	if err := json.Unmarshal(given.Type, &kind); err != nil || kind == "" || kind != "server_vad" && kind != alias {
		return invalid(param+".type", `xAI knows the turn detection "server_vad" only, and null for none.`)
	}
	changed := serverVAD
	if given.Threshold != nil {
		if *given.Threshold < 0.1 || *given.Threshold > 0.9 {
			return invalid(param+".threshold", "The threshold is from 0.1 to 0.9.")
		}
		changed.threshold = *given.Threshold
	}
	for _, duration := range []struct {
		name     string
		given    *int64
		at       *time.Duration
		min, max int64
	}{
		{"silence_duration_ms", given.Silence, &changed.silence, 0, longestTurnDetection},
		{"prefix_padding_ms", given.Padding, &changed.padding, 0, longestTurnDetection},
		{"idle_timeout_ms", given.Idle, &changed.idle, 1, time.Hour.Milliseconds()},
	} {
		if duration.given == nil {
			continue
		}
		if *duration.given < duration.min || *duration.given > duration.max {
			return invalid(param+"."+duration.name, fmt.Sprintf("%s is from %d to %d.", duration.name, duration.min, duration.max))
		}
		*duration.at = time.Duration(*duration.given) * time.Millisecond
	}
	*d = changed
	return nil
}

func (d *turnDetection) object() event {
	if !d.on {
		return event{"type": nil}
	}
	var idle any
	if d.idle > 0 {
		idle = d.idle.Milliseconds()
	}
	return event{
		"type":                "server_vad",
		"threshold":           d.threshold,
		"silence_duration_ms": d.silence.Milliseconds(),
		"prefix_padding_ms":   d.padding.Milliseconds(),
		"idle_timeout_ms":     idle,
	}
}

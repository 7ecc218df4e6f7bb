// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
)

// settings are what session.update can change.
type settings struct {
	id            string
	model         string
	voice         string
	instructions  string
	serverVAD     bool
	input, output format
}

type format struct {
	Type string `json:"type"`
	Rate int    `json:"rate"`
}

const pcm = "audio/pcm"

// rates are all divisible by windowsPerSecond and chunksPerSecond.
var rates = []int{8000, 16000, 22050, 24000, 32000, 44100, 48000}

// update changes all of the settings that are given, or none.
func (s *session) update(data []byte) error {
	type audio struct {
		Format struct {
			Type *string `json:"type"`
			Rate *int    `json:"rate"`
		} `json:"format"`
	}
	var update struct {
		Session *struct {
			Voice         *string         `json:"voice"`
			Instructions  *string         `json:"instructions"`
			TurnDetection json.RawMessage `json:"turn_detection"` // null switches it off
			Audio         struct {
				Input  audio `json:"input"`
				Output audio `json:"output"`
			} `json:"audio"`
		} `json:"session"`
	}
	if err := decode(data, &update); err != nil {
		return err
	}
	if update.Session == nil {
		return missing("session")
	}
	changed := s.settings
	if voice := update.Session.Voice; voice != nil {
		changed.voice = *voice
	}
	if instructions := update.Session.Instructions; instructions != nil {
		changed.instructions = *instructions
	}
	if err := changed.setTurnDetection(update.Session.TurnDetection); err != nil {
		return err
	}
	in, out := update.Session.Audio.Input.Format, update.Session.Audio.Output.Format
	if err := changed.input.set(in.Type, in.Rate, "session.audio.input.format"); err != nil {
		return err
	}
	if err := changed.output.set(out.Type, out.Rate, "session.audio.output.format"); err != nil {
		return err
	}

	restart := changed.input != s.settings.input || changed.serverVAD != s.settings.serverVAD
	s.settings = changed
	if restart {
		s.resetInput() // what is in the buffer was counted by other rules
	}
	s.send("session.updated", event{"session": changed.object()})
	return nil
}

func (s *settings) setTurnDetection(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var detection *struct {
		Type string `json:"type"`
	}
	if err := decode(raw, &detection); err != nil {
		return &clientError{"invalid_value", "turn_detection must be an object or null.", "session.turn_detection"}
	}
	if detection != nil && detection.Type != "server_vad" {
		return &clientError{"invalid_value", `The sandbox knows the turn detection "server_vad" only.`, "session.turn_detection.type"}
	}
	s.serverVAD = detection != nil
	return nil
}

// set takes over what is given; param is where it was given.
func (f *format) set(kind *string, rate *int, param string) error {
	if kind != nil && *kind != pcm {
		return &clientError{"invalid_value", "The sandbox knows the format " + pcm + " only.", param + ".type"}
	}
	if rate == nil {
		return nil
	}
	if !slices.Contains(rates, *rate) {
		return &clientError{"invalid_value", fmt.Sprintf("The sandbox knows no rate of %d Hz.", *rate), param + ".rate"}
	}
	f.Rate = *rate
	return nil
}

func (s *settings) object() event {
	var detection event // null when it is off
	if s.serverVAD {
		detection = event{"type": "server_vad"}
	}
	return event{
		"id":             s.id,
		"object":         "realtime.session",
		"model":          s.model,
		"voice":          s.voice,
		"instructions":   s.instructions,
		"turn_detection": detection,
		"audio": event{
			"input":  event{"format": s.input},
			"output": event{"format": s.output},
		},
	}
}

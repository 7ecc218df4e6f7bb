// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"slices"
)

// flagship is the model that xAI takes whatever a client asks for, unless it is
// another one that xAI has.
const flagship = "grok-voice-think-fast-2.0"

var models = []string{flagship, "grok-voice-think-fast-1.0"}

// settings are what session.update can change.
type settings struct {
	id            string
	model         string
	voice         string
	instructions  string
	modalities    []string
	turnDetection turnDetection
	input, output audio
	transcription json.RawMessage // of the input, as it was given
	transcribes   bool            // while the user speaks
	tools         []json.RawMessage
	tool          *tool // the first one that the client has, or nil
	resumption    bool
}

func defaultSettings(model string) settings {
	if !slices.Contains(models, model) {
		model = flagship
	}
	return settings{
		id:         newID(),
		model:      model,
		voice:      "xai_ara",
		modalities: []string{"audio"},
		input:      audio{format{pcm, 24000}, transportJSON},
		output:     audio{format{pcm, 24000}, transportJSON},
		tools:      []json.RawMessage{},
	}
}

// newSettings are settings as a client writes them.
type newSettings struct {
	Voice         *string           `json:"voice"`
	Instructions  *string           `json:"instructions"`
	Modalities    []string          `json:"modalities"`
	TurnDetection json.RawMessage   `json:"turn_detection"` // null switches it off
	Tools         []json.RawMessage `json:"tools"`
	Audio         struct {
		Input struct {
			newAudio

			TurnDetection json.RawMessage `json:"turn_detection"` // OpenAI's place
			Transcription json.RawMessage `json:"transcription"`
		} `json:"input"`
		Output newAudio `json:"output"`
	} `json:"audio"`
	Resumption struct {
		Enabled *bool `json:"enabled"`
	} `json:"resumption"`
}

// update changes all of the settings that are given, or none.
func (s *session) update(data []byte) error {
	var update struct {
		Session *newSettings `json:"session"`
	}
	if err := decode(data, &update); err != nil {
		return err
	}
	if update.Session == nil {
		return missing("session")
	}
	changed := s.settings
	if err := changed.apply(update.Session); err != nil {
		return err
	}
	restart := changed.input.format != s.settings.input.format || changed.turnDetection != s.settings.turnDetection
	s.settings = changed
	if restart {
		s.idle.Stop()
		s.resetInput() // what is in the buffer was counted by other rules
	}
	s.send("session.updated", event{"session": changed.updated()})
	if changed.resumption {
		s.replay()
	}
	return nil
}

func (s *settings) apply(given *newSettings) error {
	if given.Voice != nil {
		s.voice = *given.Voice
	}
	if given.Instructions != nil {
		s.instructions = *given.Instructions
	}
	if given.Modalities != nil {
		s.modalities = given.Modalities
	}
	if given.Resumption.Enabled != nil {
		s.resumption = *given.Resumption.Enabled
	}
	if err := s.setTools(given.Tools); err != nil {
		return err
	}
	if err := s.turnDetection.set(given.Audio.Input.TurnDetection, "session.audio.input.turn_detection", "semantic_vad"); err != nil {
		return err
	}
	if err := s.turnDetection.set(given.TurnDetection, "session.turn_detection", ""); err != nil {
		return err
	}
	if err := s.setTranscription(given.Audio.Input.Transcription); err != nil {
		return err
	}
	if err := s.input.set(given.Audio.Input.newAudio, "session.audio.input"); err != nil {
		return err
	}
	return s.output.set(given.Audio.Output, "session.audio.output")
}

// setTranscription takes over how the user's words are written down.
func (s *settings) setTranscription(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var transcription struct {
		Model string `json:"model"`
	}
	if err := decode(raw, &transcription); err != nil {
		return invalid("session.audio.input.transcription", "transcription must be an object with a model, or null.")
	}
	s.transcription = raw
	s.transcribes = transcription.Model == "grok-transcribe"
	return nil
}

// created returns what session.created says of them.
func (s *settings) created() event {
	return event{
		"id":             s.id,
		"object":         "realtime.session",
		"model":          s.model,
		"voice":          s.voice,
		"instructions":   s.instructions,
		"modalities":     s.modalities,
		"turn_detection": s.turnDetection.object(),
		"tools":          s.tools,
	}
}

// updated returns what session.updated says of them.
func (s *settings) updated() event {
	object := s.created()
	input, output := s.input.object(), s.output.object()
	if s.transcription != nil {
		input["transcription"] = s.transcription
	}
	object["audio"] = event{"input": input, "output": output}
	object["resumption"] = event{"enabled": s.resumption}
	return object
}

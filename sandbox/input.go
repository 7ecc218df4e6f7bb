// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// input is the sound that the client sent and that is not part of an item yet.
// Nobody is going to listen to it, so only its length is kept.
type input struct {
	samples  int       // counted without turn detection
	detector *detector // listens with turn detection
	item     string    // the id that what is being said will have
}

// resetInput forgets the sound that is not part of an item.
func (s *session) resetInput() {
	s.input = input{detector: newDetector(s.settings.input.Rate), item: newID("item")}
}

func (s *session) appendAudio(data []byte) error {
	var buffer struct {
		Audio *string `json:"audio"`
	}
	if err := decode(data, &buffer); err != nil {
		return err
	}
	if buffer.Audio == nil {
		return missing("audio")
	}
	sound, err := base64.StdEncoding.DecodeString(*buffer.Audio)
	if err != nil {
		return &clientError{"invalid_value", "audio is not base64.", "audio"}
	}
	if len(sound)%2 != 0 {
		return &clientError{"invalid_value", "audio ends in the middle of a sample of 16 bits.", "audio"}
	}
	if !s.settings.serverVAD {
		s.input.samples += len(sound) / 2
		return nil
	}
	s.input.detector.listen(sound, func(at time.Duration) {
		if s.input.detector.speaking {
			s.speechStarted(at)
		} else {
			s.speechStopped(at)
		}
	})
	return nil
}

func (s *session) speechStarted(at time.Duration) {
	s.send("input_audio_buffer.speech_started", event{"audio_start_ms": at.Milliseconds(), "item_id": s.input.item})
	// Whoever speaks wants to be heard, not to listen.
	if s.reply != nil {
		s.finish("cancelled", "turn_detected")
	}
}

func (s *session) speechStopped(at time.Duration) {
	s.send("input_audio_buffer.speech_stopped", event{"audio_end_ms": at.Milliseconds(), "item_id": s.input.item})
	s.addSpeech(at - s.input.detector.started)
	if s.reply != nil { // the client asked for one while the user was speaking
		s.finish("cancelled", "turn_detected")
	}
	s.answer()
}

func (s *session) commitAudio() error {
	if s.settings.serverVAD {
		return &clientError{Code: "commit_not_allowed", Message: "With server_vad the server commits the buffer."}
	}
	if s.input.samples == 0 {
		return &clientError{Code: "buffer_empty", Message: "There is no sound to commit."}
	}
	s.addSpeech(time.Duration(s.input.samples) * time.Second / time.Duration(s.settings.input.Rate))
	return nil
}

// addSpeech makes an item of what was said.
func (s *session) addSpeech(length time.Duration) {
	id := s.input.item
	s.input.item = newID("item")
	s.input.samples = 0
	s.heard = heard{spoken: length}

	s.send("input_audio_buffer.committed", event{"item_id": id, "previous_item_id": s.previousItem()})
	s.addItem(id, []event{{"type": "input_audio", "transcript": nil}})

	// The words become more and are said again with each event, as xAI's do. The
	// completed event comes after the one that was complete already.
	words := strings.SplitAfter(fmt.Sprintf("(I spoke for %s.)", inWords(length)), " ")
	for _, count := range []int{2, 3, len(words)} {
		s.sendTranscript("updated", id, words[:count])
	}
	s.sendTranscript("completed", id, words)
}

func (s *session) sendTranscript(progress, item string, words []string) {
	s.send("conversation.item.input_audio_transcription."+progress, event{
		"item_id":       item,
		"content_index": 0,
		"transcript":    strings.TrimSpace(strings.Join(words, "")),
	})
}

func inWords(length time.Duration) string {
	return fmt.Sprintf("%.1f seconds", length.Seconds())
}

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
	s.input = input{detector: newDetector(s.settings.input.format.rate, s.settings.turnDetection), item: newID()}
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
		return invalid("audio", "audio is not base64.")
	}
	return s.hear(sound)
}

// hearFrame takes a binary frame.
func (s *session) hearFrame(data []byte) error {
	if s.settings.input.transport != transportBinary {
		return &clientError{invalidEvent, "invalid_frame", `Events are JSON in text frames. Sound can have binary ones if session.audio.input.transport is "binary".`, ""}
	}
	return s.hear(data)
}

func (s *session) hear(sound []byte) error {
	samples, err := s.settings.input.decode(sound, "audio")
	if err != nil {
		return err
	}
	if s.reply != nil && !s.reply.interruptible {
		return nil // what the user says is dropped until the agent has finished
	}
	if !s.settings.turnDetection.on {
		s.input.samples += len(samples)
		return nil
	}
	s.input.detector.listen(samples, func(at time.Duration) {
		if s.input.detector.speaking {
			s.speechStarted(at)
		} else {
			s.speechStopped(at)
		}
	})
	return nil
}

func (s *session) speechStarted(at time.Duration) {
	s.idle.Stop()
	s.send("input_audio_buffer.speech_started", event{"audio_start_ms": at.Milliseconds(), "item_id": s.input.item})
	// Whoever speaks wants to be heard, not to listen.
	if s.reply != nil {
		s.finish("cancelled")
	}
}

func (s *session) speechStopped(at time.Duration) {
	s.send("input_audio_buffer.speech_stopped", event{"audio_end_ms": at.Milliseconds(), "item_id": s.input.item})
	s.addSpeech(at - s.input.detector.started)
	if s.reply != nil { // the client asked for one while the user was speaking
		s.finish("cancelled")
	}
	s.answer(nil)
}

// waitForUser begins to wait for somebody who says nothing, and may be asked for it.
func (s *session) waitForUser() {
	s.idle.Stop()
	if timeout := s.settings.turnDetection.idle; timeout > 0 && !s.input.detector.speaking {
		s.idle.Reset(timeout)
	}
}

// speakUp is what happens when the user has said nothing for too long.
func (s *session) speakUp() {
	at := s.input.detector.now().Milliseconds()
	s.send("input_audio_buffer.timeout_triggered", event{"audio_start_ms": at, "audio_end_ms": at, "item_id": s.input.item})
	s.answer(nil)
}

func (s *session) commitAudio() error {
	if s.settings.turnDetection.on {
		return outOfTurn("commit_not_allowed", "With server_vad the server commits the buffer.")
	}
	if s.input.samples == 0 {
		return outOfTurn("input_audio_buffer_commit_empty", "There is no sound to commit.")
	}
	s.addSpeech(s.settings.input.duration(s.input.samples))
	return nil
}

// addSpeech makes an item of what was said.
func (s *session) addSpeech(length time.Duration) {
	id := s.input.item
	s.input.item = newID()
	s.input.samples = 0
	s.heard = heard{spoken: length}

	s.send("input_audio_buffer.committed", event{"item_id": id, "previous_item_id": s.conversation.last()})
	spoken := func(transcript any) event {
		return event{
			"id":      id,
			"object":  "realtime.item",
			"type":    "message",
			"status":  "completed",
			"role":    "user",
			"content": []event{{"type": "input_audio", "transcript": transcript}},
		}
	}
	s.addItem(spoken(nil))

	// The words become more and are said again with each event, as xAI's do. The
	// completed event comes more than once as well.
	words := strings.SplitAfter(fmt.Sprintf("(I spoke for %s.)", inWords(length)), " ")
	if s.settings.transcribes {
		for _, count := range []int{2, 3, len(words)} {
			s.sendTranscript("updated", id, words[:count])
		}
	}
	s.sendTranscript("completed", id, words)
	s.sendTranscript("completed", id, words)
	s.replaceItem(spoken(strings.Join(words, "")))
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

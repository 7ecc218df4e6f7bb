// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// event is an event of the realtime protocol, without its type and id, or an
// object in one.
type event map[string]any

// client is who a session talks to.
type client struct {
	hearEvent func(event any)
	hearSound func(sound []byte) // in a binary frame
}

// session is one conversation. It is not safe for concurrent use.
type session struct {
	client       client
	settings     settings
	conversation conversation

	heard   heard
	input   input
	reply   *reply      // what is being said, or nil
	replies int         // how many there have been
	next    *time.Timer // when the reply goes on
	idle    *time.Timer // when the user has been silent for too long
}

// heard is what the next reply is about: what the user typed, what a tool told or
// how long the user spoke.
type heard struct {
	text   string
	told   string
	spoken time.Duration
}

func newSession(c client, model string, kept conversation) *session {
	s := &session{
		client:       c,
		settings:     defaultSettings(model),
		conversation: kept,
		next:         stoppedTimer(),
		idle:         stoppedTimer(),
	}
	s.resetInput()
	return s
}

func stoppedTimer() *time.Timer {
	timer := time.NewTimer(0)
	timer.Stop()
	return timer
}

func (s *session) open() {
	s.send("session.created", event{"session": s.settings.created()})
	s.send("conversation.created", event{"conversation": event{
		"id":     s.conversation.id,
		"object": "realtime.conversation",
	}})
	s.ping()
}

func (s *session) close() {
	s.next.Stop()
	s.idle.Stop()
}

func (s *session) ping() {
	s.send("ping", event{"timestamp": time.Now().UnixMilli()})
}

func (s *session) send(kind string, e event) {
	e["type"] = kind
	e["event_id"] = newID()
	if _, ok := e["previous_item_id"]; !ok {
		e["previous_item_id"] = nil // xAI's events all have it
	}
	s.client.hearEvent(e)
}

// receive handles a message of the client. Whatever is wrong with it, the session
// goes on.
func (s *session) receive(isText bool, data []byte) {
	handle := s.handle
	if !isText {
		handle = s.hearFrame
	}
	if err := handle(data); err != nil {
		var cause struct {
			EventID string `json:"event_id"`
		}
		_ = json.Unmarshal(data, &cause) // without an id the error is about no event in particular
		s.send("error", event{"error": asClientError(err).object(cause.EventID)})
	}
}

func (s *session) handle(data []byte) error {
	var head struct {
		Type string `json:"type"`
	}
	if err := decode(data, &head); err != nil {
		return err
	}
	switch head.Type {
	case "session.update":
		return s.update(data)
	case "conversation.item.create":
		return s.createItem(data)
	case "conversation.item.truncate":
		return s.truncateItem(data)
	case "conversation.item.delete":
		return s.deleteItem(data)
	case "input_audio_buffer.append":
		return s.appendAudio(data)
	case "input_audio_buffer.commit":
		return s.commitAudio()
	case "input_audio_buffer.clear":
		s.resetInput()
		s.send("input_audio_buffer.cleared", event{})
		return nil
	case "response.create":
		return s.createResponse(data)
	case "response.cancel":
		return s.cancelResponse()
	case "conversation.item.retrieve", "output_audio_buffer.clear":
		return &clientError{invalidEvent, "unsupported_event", head.Type + " is OpenAI's: xAI does not support it.", "type"}
	case "":
		return missing("type")
	default:
		return &clientError{invalidEvent, "unknown_event", fmt.Sprintf("The sandbox knows no event %.64q.", head.Type), "type"}
	}
}

// newID returns an id in the look of xAI's.
func newID() string {
	return uuid.NewString()
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// event is an event of the realtime protocol, without its type and id.
type event map[string]any

// session is one conversation. It is not safe for concurrent use.
type session struct {
	settings settings
	write    func(event any)

	heard    heard
	lastItem string // the id of the latest item of the conversation
	input    input
	reply    *reply      // what is being said, or nil
	replies  int         // how many there have been
	next     *time.Timer // when the reply goes on
}

// heard is what the next reply is about: what the user typed or, if that is
// empty, how long the user spoke.
type heard struct {
	text   string
	spoken time.Duration
}

func newSession(model string, write func(event any)) *session {
	next := time.NewTimer(0)
	next.Stop()
	s := &session{
		settings: settings{
			id:     newID("sess"),
			model:  model,
			voice:  "ara",
			input:  format{pcm, 24000},
			output: format{pcm, 24000},
		},
		write: write,
		next:  next,
	}
	s.resetInput()
	return s
}

func (s *session) open() {
	s.send("session.created", event{"session": s.settings.object()})
	s.send("conversation.created", event{"conversation": event{
		"id":     newID("conv"),
		"object": "realtime.conversation",
	}})
}

func (s *session) close() {
	s.next.Stop()
}

func (s *session) send(kind string, e event) {
	e["type"] = kind
	e["event_id"] = newID("event")
	s.write(e)
}

// receive handles a message of the client. Whatever is wrong with it, the session
// goes on.
func (s *session) receive(isText bool, data []byte) {
	err := errBinary
	if isText {
		err = s.handle(data)
	}
	if err == nil {
		return
	}
	problem, ok := errors.AsType[*clientError](err)
	if !ok {
		problem = &clientError{Code: "invalid_json", Message: "The message is not the JSON of an event: " + err.Error()}
	}
	s.send("error", event{"error": problem})
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
	case "input_audio_buffer.append":
		return s.appendAudio(data)
	case "input_audio_buffer.commit":
		return s.commitAudio()
	case "input_audio_buffer.clear":
		s.resetInput()
		s.send("input_audio_buffer.cleared", event{})
		return nil
	case "response.create":
		return s.createResponse()
	case "response.cancel":
		return s.cancelResponse()
	case "":
		return missing("type")
	default:
		return &clientError{"unknown_event", fmt.Sprintf("The sandbox knows no event %.64q.", head.Type), "type"}
	}
}

// createItem takes a message that the user typed.
func (s *session) createItem(data []byte) error {
	var create struct {
		Item *struct {
			ID      string `json:"id"`
			Type    string `json:"type"`
			Role    string `json:"role"`
			Content []struct {
				Type string  `json:"type"`
				Text *string `json:"text"`
			} `json:"content"`
		} `json:"item"`
	}
	if err := decode(data, &create); err != nil {
		return err
	}
	item := create.Item
	switch {
	case item == nil:
		return missing("item")
	case item.Type != "message":
		return &clientError{"invalid_value", "The sandbox takes messages only.", "item.type"}
	case item.Role != "user":
		return &clientError{"invalid_value", "The sandbox takes messages of the user only.", "item.role"}
	case len(item.Content) == 0:
		return missing("item.content")
	}
	var texts []string
	for i, part := range item.Content {
		param := fmt.Sprintf("item.content[%d]", i)
		if part.Type != "input_text" {
			return &clientError{"invalid_value", "The sandbox takes input_text only.", param + ".type"}
		}
		if part.Text == nil {
			return missing(param + ".text")
		}
		texts = append(texts, *part.Text)
	}
	if item.ID == "" {
		item.ID = newID("item")
	}
	s.heard = heard{text: strings.Join(texts, " ")}
	s.addItem(item.ID, item.Content)
	return nil
}

// addItem tells of a new item of the user.
func (s *session) addItem(id string, content any) {
	s.send("conversation.item.added", event{
		"previous_item_id": s.previousItem(),
		"item": event{
			"id":      id,
			"object":  "realtime.item",
			"type":    "message",
			"status":  "completed",
			"role":    "user",
			"content": content,
		},
	})
	s.lastItem = id
}

// previousItem returns the id of the latest item, or null before the first.
func (s *session) previousItem() any {
	if s.lastItem == "" {
		return nil
	}
	return s.lastItem
}

// newID returns an id that is as unique as a UUID, in the look of xAI's.
func newID(kind string) string {
	return kind + "_" + strings.ReplaceAll(uuid.NewString(), "-", "")
}

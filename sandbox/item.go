// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// newItem is an item as a client writes it.
type newItem struct {
	ID            string    `json:"id"`
	Type          string    `json:"type"`
	Role          string    `json:"role"`
	Content       []newPart `json:"content"`
	CallID        string    `json:"call_id"`
	Output        *string   `json:"output"`
	Interruptible *bool     `json:"interruptible"`
}

type newPart struct {
	Type       string  `json:"type"`
	Text       *string `json:"text"`
	Audio      *string `json:"audio"`
	Transcript *string `json:"transcript"`
}

func (s *session) createItem(data []byte) error {
	var create struct {
		Item           *newItem `json:"item"`
		PreviousItemID string   `json:"previous_item_id"`
	}
	if err := decode(data, &create); err != nil {
		return err
	}
	item := create.Item
	if item == nil {
		return missing("item")
	}
	if s.conversation.find(item.ID) >= 0 {
		return invalid("item.id", "The conversation has an item with this id already.")
	}
	if item.ID == "" {
		item.ID = newID()
	}
	at := len(s.conversation.items)
	switch create.PreviousItemID {
	case "":
	case "root":
		at = 0
	default:
		previous, err := s.mustFind(create.PreviousItemID, "previous_item_id")
		if err != nil {
			return err
		}
		at = previous + 1
	}
	switch item.Type {
	case "message":
		return s.createMessage(item, at)
	case "function_call_output":
		return s.createOutput(item, at)
	case "force_message":
		return s.forceMessage(item)
	default:
		return invalid("item.type", "An item is a message, a function_call_output or a force_message.")
	}
}

// createMessage takes what the user typed or said, or what is to be known besides.
func (s *session) createMessage(item *newItem, at int) error {
	if !slices.Contains([]string{"user", "assistant", "system"}, item.Role) {
		return invalid("item.role", "A message is of the user, the assistant or the system.")
	}
	content, said, err := s.readContent(item)
	if err != nil {
		return err
	}
	if item.Role == "user" {
		s.heard = said
	}
	s.insertItem(event{
		"id":      item.ID,
		"type":    "message",
		"status":  "completed",
		"role":    item.Role,
		"content": content,
	}, at)
	return nil
}

// readContent returns the parts of a message as the server repeats them, and what
// they say.
func (s *session) readContent(item *newItem) ([]event, heard, error) {
	if len(item.Content) == 0 {
		return nil, heard{}, missing("item.content")
	}
	var content []event
	var texts []string
	var spoken time.Duration
	for i, part := range item.Content {
		param := fmt.Sprintf("item.content[%d]", i)
		switch part.Type {
		case "input_text", "text", "output_text":
			if part.Text == nil {
				return nil, heard{}, missing(param + ".text")
			}
			texts = append(texts, *part.Text)
			content = append(content, event{"type": part.Type, "text": *part.Text})
		case "input_audio":
			if item.Role != "user" {
				return nil, heard{}, invalid(param+".type", "Only the user speaks.")
			}
			length, err := s.measure(part.Audio, param+".audio")
			if err != nil {
				return nil, heard{}, err
			}
			spoken += length
			content = append(content, event{"type": part.Type, "transcript": part.Transcript})
		default:
			return nil, heard{}, invalid(param+".type", "A part is an input_text, text, output_text or input_audio.")
		}
	}
	return content, heard{text: strings.Join(texts, " "), spoken: spoken}, nil
}

// measure returns how long sound takes that is in an item.
func (s *session) measure(audio *string, param string) (time.Duration, error) {
	if audio == nil {
		return 0, missing(param)
	}
	sound, err := base64.StdEncoding.DecodeString(*audio)
	if err != nil {
		return 0, invalid(param, "The sound is not base64.")
	}
	samples, err := s.settings.input.decode(sound, param)
	if err != nil {
		return 0, err
	}
	return s.settings.input.duration(len(samples)), nil
}

// createOutput takes what a tool told.
func (s *session) createOutput(item *newItem, at int) error {
	if item.CallID == "" {
		return missing("item.call_id")
	}
	if item.Output == nil {
		return missing("item.output")
	}
	s.heard = heard{told: *item.Output}
	s.insertItem(event{
		"id":      item.ID,
		"type":    item.Type,
		"status":  "completed",
		"call_id": item.CallID,
		"output":  *item.Output,
	}, at)
	return nil
}

// forceMessage says what the client wants the agent to say, at once.
func (s *session) forceMessage(item *newItem) error {
	if s.reply != nil {
		return errActive
	}
	_, said, err := s.readContent(item)
	if err != nil {
		return err
	}
	if said.text == "" {
		return missing("item.content[0].text")
	}
	s.say(said.text, &reply{item: item.ID, interruptible: item.Interruptible == nil || *item.Interruptible})
	return nil
}

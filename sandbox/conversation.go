// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"slices"
)

// conversation is all that was said in a session, and in those that it resumes.
type conversation struct {
	id    string
	items []event

	resumed []event             // of earlier sessions, until they are replayed
	keep    func(items []event) // remembers the items for later sessions
}

func (c *conversation) find(id string) int {
	return slices.IndexFunc(c.items, func(item event) bool { return item["id"] == id })
}

// last returns the id of the latest item, or null before the first.
func (c *conversation) last() any {
	if len(c.items) == 0 {
		return nil
	}
	return c.items[len(c.items)-1]["id"]
}

// remember keeps the conversation if the client asked for that.
func (s *session) remember() {
	if s.settings.resumption {
		s.conversation.keep(slices.Clone(s.conversation.items))
	}
}

// replay tells of the items of the sessions that this one resumes, once.
func (s *session) replay() {
	var previous any
	for _, item := range s.conversation.resumed {
		s.send("conversation.item.created", event{"item": item, "previous_item_id": previous})
		previous = item["id"]
	}
	s.conversation.items = append(s.conversation.resumed, s.conversation.items...)
	s.conversation.resumed = nil
	s.remember()
}

// addItem tells of a new item, the latest one.
func (s *session) addItem(item event) {
	s.insertItem(item, len(s.conversation.items))
}

// insertItem tells of a new item at this place.
func (s *session) insertItem(item event, at int) {
	var previous any
	if at > 0 {
		previous = s.conversation.items[at-1]["id"]
	}
	item["object"] = "realtime.item"
	item["replayed"] = false
	s.send("conversation.item.added", event{"item": item, "previous_item_id": previous})
	s.conversation.items = slices.Insert(s.conversation.items, at, item)
	s.remember()
}

// replaceItem takes over what became of an item, unless the client deleted it.
func (s *session) replaceItem(item event) {
	if i := s.conversation.find(item["id"].(string)); i >= 0 {
		s.conversation.items[i] = item
		s.remember()
	}
}

func (s *session) truncateItem(data []byte) error {
	var truncate struct {
		ItemID       string `json:"item_id"`
		ContentIndex *int   `json:"content_index"`
		AudioEndMS   *int   `json:"audio_end_ms"`
	}
	if err := decode(data, &truncate); err != nil {
		return err
	}
	i, err := s.mustFind(truncate.ItemID, "item_id")
	switch {
	case err != nil:
		return err
	case truncate.ContentIndex == nil:
		return missing("content_index")
	case truncate.AudioEndMS == nil:
		return missing("audio_end_ms")
	case *truncate.AudioEndMS < 0:
		return invalid("audio_end_ms", "audio_end_ms is negative.")
	case *truncate.ContentIndex != 0, s.conversation.items[i]["role"] != "assistant":
		return invalid("item_id", "Only what the agent said can be truncated, at its content_index 0.")
	}
	s.send("conversation.item.truncated", event{
		"item_id":       truncate.ItemID,
		"content_index": 0,
		"audio_end_ms":  *truncate.AudioEndMS,
	})
	return nil
}

func (s *session) deleteItem(data []byte) error {
	var remove struct {
		ItemID string `json:"item_id"`
	}
	if err := decode(data, &remove); err != nil {
		return err
	}
	i, err := s.mustFind(remove.ItemID, "item_id")
	if err != nil {
		return err
	}
	s.conversation.items = slices.Delete(s.conversation.items, i, i+1)
	s.remember()
	s.send("conversation.item.deleted", event{"item_id": remove.ItemID})
	return nil
}

// mustFind returns the place of an item that the client named in the field param.
func (s *session) mustFind(id, param string) (int, error) {
	if id == "" {
		return 0, missing(param)
	}
	i := s.conversation.find(id)
	if i < 0 {
		return 0, invalid(param, fmt.Sprintf("The conversation has no item %.64q.", id))
	}
	return i, nil
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"maps"
	"sync"
	"time"
)

// resumable is how long a conversation can be resumed after its last item.
const resumable = 30 * time.Minute

// conversations are those that can be resumed.
type conversations struct {
	mu    sync.Mutex
	kept  map[string]keptConversation
	swept time.Time // when old ones were last forgotten
}

type keptConversation struct {
	items   []event
	expires time.Time
}

// begin returns the conversation with this id, or a new one if nobody remembers it.
func (c *conversations) begin(id string) conversation {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, ok := c.kept[id]
	if !ok || time.Now().After(old.expires) {
		id = newID()
		old = keptConversation{}
	}
	var resumed []event
	for _, item := range old.items {
		item = maps.Clone(item)
		item["replayed"] = true
		resumed = append(resumed, item)
	}
	return conversation{id: id, resumed: resumed, keep: func(items []event) { c.keep(id, items) }}
}

func (c *conversations) keep(id string, items []event) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept = make(map[string]keptConversation)
	}
	if now.Sub(c.swept) > time.Minute {
		maps.DeleteFunc(c.kept, func(_ string, old keptConversation) bool { return now.After(old.expires) })
		c.swept = now
	}
	c.kept[id] = keptConversation{items, now.Add(resumable)}
}

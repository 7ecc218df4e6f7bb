// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// toolWords in a text make the agent call the first function that it may call.
var toolWords = regexp.MustCompile("(?i)use the tool")

// tool is a function of the client.
type tool struct {
	Type       string          `json:"type"`
	Name       string          `json:"name"`
	Parameters json.RawMessage `json:"parameters"`
}

// setTools takes over the tools, of which only functions are the client's to call.
func (s *settings) setTools(given []json.RawMessage) error {
	if given == nil {
		return nil
	}
	var first *tool
	for i, raw := range given {
		param := fmt.Sprintf("session.tools[%d]", i)
		t := new(tool)
		if err := decode(raw, t); err != nil {
			return invalid(param, "A tool is an object with a type, and a function has a name.")
		}
		if t.Type == "" {
			return missing(param + ".type")
		}
		if t.Type != "function" {
			continue
		}
		if t.Name == "" {
			return missing(param + ".name")
		}
		if first == nil {
			first = t
		}
	}
	s.tools, s.tool = given, first
	return nil
}

func (h heard) asksForTool() bool {
	return toolWords.MatchString(h.text)
}

// arguments returns those that the text gives, or others that fit.
func (h heard) arguments(t *tool) string {
	rest := h.text[toolWords.FindStringIndex(h.text)[1]:]
	if start := strings.Index(rest, "{"); start >= 0 {
		var given json.RawMessage
		if json.NewDecoder(strings.NewReader(rest[start:])).Decode(&given) == nil {
			return string(given)
		}
	}
	var parameters schema
	_ = json.Unmarshal(t.Parameters, &parameters) // what it does not understand it leaves out
	return string(encode(parameters.example()))
}

// callTool is a response that consists of a call, which the client answers with an
// item of type function_call_output.
func (s *session) callTool(arguments string, metadata json.RawMessage) {
	id, item, call := newID(), newID(), newID()
	object := func(status, arguments string) event {
		return event{
			"id":        item,
			"object":    "realtime.item",
			"type":      "function_call",
			"status":    status,
			"name":      s.settings.tool.Name,
			"call_id":   call,
			"arguments": arguments,
			"replayed":  false,
		}
	}
	send := func(kind string, e event) {
		e["response_id"] = id
		e["output_index"] = 0
		s.send(kind, e)
	}
	s.idle.Stop()
	s.send("response.created", event{"response": responseObject(id, "in_progress", metadata)})
	send("response.output_item.added", event{"item": object("in_progress", "")})
	s.addItem(object("in_progress", ""))
	send("response.function_call_arguments.delta", event{"item_id": item, "call_id": call, "delta": arguments})
	send("response.function_call_arguments.done", event{
		"item_id": item, "call_id": call, "name": s.settings.tool.Name, "arguments": arguments,
	})
	done := object("completed", arguments)
	send("response.output_item.done", event{"item": done})
	s.replaceItem(done)
	s.sendDone(responseObject(id, "completed", metadata), done, nil)
}

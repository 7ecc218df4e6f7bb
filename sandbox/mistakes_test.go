// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func TestMistakesOfTheClient(t *testing.T) {
	update := func(session string) string { return `{"type":"session.update","session":` + session + `}` }
	item := func(item string) string { return `{"type":"conversation.item.create","item":` + item + `}` }
	sound := func(audio string) string { return `{"type":"input_audio_buffer.append","audio":` + audio + `}` }
	for _, test := range []struct{ name, message, code, param string }{
		{"nothing", ``, "invalid_json", ""},
		{"half an event", `{"type":`, "invalid_json", ""},
		{"two events", `{"type":"response.cancel"}{"type":"response.cancel"}`, "invalid_json", ""},
		{"a list", `[]`, "invalid_type", ""},
		{"null", `null`, "missing_field", "type"},
		{"no type", `{}`, "missing_field", "type"},
		{"a type that is a number", `{"type":1}`, "invalid_type", "type"},
		{"an unknown type", `{"type":"session.delete"}`, "unknown_event", "type"},
		{"an event of OpenAI's", `{"type":"conversation.item.retrieve","item_id":"x"}`, "unsupported_event", "type"},
		{"an event of OpenAI's for WebRTC", `{"type":"output_audio_buffer.clear"}`, "unsupported_event", "type"},
		{"an update of nothing", `{"type":"session.update"}`, "missing_field", "session"},
		{"a voice that is a number", update(`{"voice":1}`), "invalid_type", "session.voice"},
		{"an unknown format", update(`{"audio":{"input":{"format":{"type":"audio/opus"}}}}`), "invalid_value", "session.audio.input.format.type"},
		{"an odd rate", update(`{"audio":{"output":{"format":{"rate":12345}}}}`), "invalid_value", "session.audio.output.format.rate"},
		{"no rate", update(`{"audio":{"input":{"format":{"rate":0}}}}`), "invalid_value", "session.audio.input.format.rate"},
		{"a rate that is a string", update(`{"audio":{"output":{"format":{"rate":"24000"}}}}`), "invalid_type", "session.audio.output.format.rate"},
		{"an unknown transport", update(`{"audio":{"output":{"transport":"pigeon"}}}`), "invalid_value", "session.audio.output.transport"},
		{"a transcription that is a string", update(`{"audio":{"input":{"transcription":"grok-transcribe"}}}`), "invalid_value", "session.audio.input.transcription"},
		{"a tool that is a string", update(`{"tools":["weather"]}`), "invalid_value", "session.tools[0]"},
		{"a tool without a type", update(`{"tools":[{"type":"web_search"},{"name":"weather"}]}`), "missing_field", "session.tools[1].type"},
		{"a function without a name", update(`{"tools":[{"type":"function"}]}`), "missing_field", "session.tools[0].name"},
		{"no item", `{"type":"conversation.item.create"}`, "missing_field", "item"},
		{"an item of another type", item(`{"type":"function_call"}`), "invalid_value", "item.type"},
		{"a message of somebody else", item(`{"type":"message","role":"critic"}`), "invalid_value", "item.role"},
		{"a message without content", item(`{"type":"message","role":"user","content":[]}`), "missing_field", "item.content"},
		{"a picture", item(`{"type":"message","role":"user","content":[{"type":"input_image"}]}`), "invalid_value", "item.content[0].type"},
		{"no text", item(`{"type":"message","role":"user","content":[{"type":"input_text"}]}`), "missing_field", "item.content[0].text"},
		{"no sound in a message", item(`{"type":"message","role":"user","content":[{"type":"input_audio"}]}`), "missing_field", "item.content[0].audio"},
		{"sound in a message that is no base64", item(`{"type":"message","role":"user","content":[{"type":"input_audio","audio":"?"}]}`), "invalid_value", "item.content[0].audio"},
		{"half a sample in a message", item(`{"type":"message","role":"user","content":[{"type":"input_audio","audio":"AAAA"}]}`), "invalid_value", "item.content[0].audio"},
		{"a system that speaks", item(`{"type":"message","role":"system","content":[{"type":"input_audio","audio":"AAA="}]}`), "invalid_value", "item.content[0].type"},
		{"an output of no call", item(`{"type":"function_call_output","output":"1"}`), "missing_field", "item.call_id"},
		{"no output", item(`{"type":"function_call_output","call_id":"x"}`), "missing_field", "item.output"},
		{"a force_message without text", item(`{"type":"force_message","content":[{"type":"output_text","text":""}]}`), "missing_field", "item.content[0].text"},
		{"an item after one that there is not", `{"type":"conversation.item.create","previous_item_id":"x","item":{"type":"message"}}`, "invalid_value", "previous_item_id"},
		{"a truncation of nothing", `{"type":"conversation.item.truncate","content_index":0,"audio_end_ms":0}`, "missing_field", "item_id"},
		{"a truncation of an item that there is not", `{"type":"conversation.item.truncate","item_id":"x","content_index":0,"audio_end_ms":0}`, "invalid_value", "item_id"},
		{"a deletion of nothing", `{"type":"conversation.item.delete"}`, "missing_field", "item_id"},
		{"a deletion of an item that there is not", `{"type":"conversation.item.delete","item_id":"x"}`, "invalid_value", "item_id"},
		{"metadata that is a string", `{"type":"response.create","response":{"metadata":"x"}}`, "invalid_value", "response.metadata"},
		{"no sound", `{"type":"input_audio_buffer.append"}`, "missing_field", "audio"},
		{"sound that is no base64", sound(`"?"`), "invalid_value", "audio"},
		{"half a sample", sound(`"AAAA"`), "invalid_value", "audio"},
		{"sound that is a list", sound(`[0]`), "invalid_type", "audio"},
		{"nothing to commit", `{"type":"input_audio_buffer.commit"}`, "input_audio_buffer_commit_empty", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *call) {
				c.send(test.message)
				got := c.expect("error").Error
				if got.Code != test.code || got.Param != test.param || got.Message == "" {
					t.Errorf("got %+v, want code %q and param %q", got, test.code, test.param)
				}
				// The session goes on.
				c.send(typed("Hello"))
				c.expect("conversation.item.added")
			})
		})
	}
}

func TestErrorsNameTheirEventAndTheirType(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		for _, test := range []struct{ message, kind, event string }{
			{`{"type":"response.cancel","event_id":"mine"}`, "invalid_request_error", "mine"},
			{`{"type":"conversation.item.retrieve","event_id":"mine"}`, "invalid_event", "mine"},
			{`{"type":"nonsense","event_id":"mine"}`, "invalid_event", "mine"},
			{`{"type":"session.update","session":{"voice":1},"event_id":"mine"}`, "invalid_request_error", "mine"},
			{`{"type":"response.cancel"}`, "invalid_request_error", ""},
			{`{`, "invalid_event", ""},
		} {
			c.send(test.message)
			got := c.expect("error").Error
			if got.Type != test.kind || (got.EventID == nil) != (test.event == "") || got.EventID != nil && *got.EventID != test.event {
				t.Errorf("%s: got %+v, want type %s and event_id %q", test.message, got, test.kind, test.event)
			}
		}
	})
}

func TestWhatXAIDoesNotSupportIsToldApart(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		c.send(`{"type":"conversation.item.retrieve","item_id":"x"}`)
		if got := c.expect("error").Error.Message; !strings.Contains(got, "conversation.item.retrieve") || !strings.Contains(got, "xAI does not support it") {
			t.Errorf("got %q", got)
		}
	})
}

func TestBinaryFramesAreNotEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		if err := c.conn.Write(t.Context(), websocket.MessageBinary, []byte(`{"type":"response.create"}`)); err != nil {
			t.Fatal(err)
		}
		if code := c.expect("error").Error.Code; code != "invalid_frame" {
			t.Errorf("got error %q", code)
		}
	})
}

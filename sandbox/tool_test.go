// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"slices"
	"testing"
)

const weather = `{"tools":[{"type":"web_search"},{"type":"function","name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}},` +
	`{"type":"function","name":"other"}]}`

func TestTools(t *testing.T) {
	for _, test := range []struct{ name, text, arguments string }{
		{"arguments are made up", "Please use the tool.", `{"city":"sandbox"}`},
		{"arguments are given", `Use the tool with {"city": "Oslo", "nested": {"x": 1}} now`, `{"city": "Oslo", "nested": {"x": 1}}`},
		{"braces before it are none", `{"a":1} USE THE TOOL`, `{"city":"sandbox"}`},
		{"half an object is none", `use the tool {"city":`, `{"city":"sandbox"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *call) {
				c.update(weather)
				c.send(typed(test.text))
				c.expect("conversation.item.added")
				c.send(`{"type":"response.create","response":{"metadata":{"a":"b"}}}`)
				events := c.until("response.done")
				if got, want := kinds(events), []string{
					"response.created",
					"response.output_item.added",
					"conversation.item.added",
					"response.function_call_arguments.delta",
					"response.function_call_arguments.done",
					"response.output_item.done",
					"response.done",
				}; !slices.Equal(got, want) {
					t.Fatalf("got %q", got)
				}
				call := events[4]
				if call.Name != "weather" || call.Arguments != test.arguments || call.CallID == "" || events[3].Delta != test.arguments {
					t.Errorf("got call %+v, want %s", call, test.arguments)
				}
				done := events[6].Response
				if string(done.Metadata) != `{"a":"b"}` || len(done.Output) != 1 {
					t.Fatalf("got response %+v", done)
				}
				for _, item := range []heardItem{events[5].Item, done.Output[0]} {
					if item.Type != "function_call" || item.CallID != call.CallID || item.Name != "weather" || item.Arguments != test.arguments || item.Status != "completed" {
						t.Errorf("got item %+v", item)
					}
				}

				c.create(`{"type":"function_call_output","call_id":"` + call.CallID + `","output":"Rain."}`)
				if said := c.reply(); said[:len("The tool told me “Rain.”.")] != "The tool told me “Rain.”." {
					t.Errorf("said %q", said)
				}
			})
		})
	}
}

func TestNoToolIsUsed(t *testing.T) {
	for _, test := range []struct{ name, session, text, said string }{
		{"unasked", weather, "How is the weather?", "I heard “How is the weather?”."},
		{"without one", `{}`, "Use the tool", "There is no function among the tools of this session."},
		{"that is xAI's", `{"tools":[{"type":"web_search"}]}`, "Use the tool", "There is no function among the tools of this session."},
		{"that is gone", `{"tools":[]}`, "Use the tool", "There is no function among the tools of this session."},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *call) {
				c.update(weather)
				c.update(`{"tools":[]}`)
				c.update(test.session)
				c.send(typed(test.text))
				c.expect("conversation.item.added")
				if said := c.reply(); said[:len(test.said)] != test.said {
					t.Errorf("said %q, want %q", said, test.said)
				}
			})
		})
	}
}

func TestExamplesOfSchemas(t *testing.T) {
	for schema, want := range map[string]string{
		``:                                `{}`,
		`{}`:                              `{}`,
		`true`:                            `{}`,
		`{"type":"string"}`:               `"sandbox"`,
		`{"type":["integer","null"]}`:     `1`,
		`{"type":"number","minimum":2.5}`: `2.5`,
		`{"type":"boolean"}`:              `true`,
		`{"type":"null"}`:                 `null`,
		`{"type":"array"}`:                `[]`,
		`{"enum":["b","a"]}`:              `"b"`,
		`{"const":7}`:                     `7`,
		`{"type":"string","default":"x"}`: `"x"`,
		`{"anyOf":[{"type":"boolean"}]}`:  `true`,
		`{"oneOf":[{"type":"boolean"}]}`:  `true`,
		`{"type":"array","items":{"type":"boolean"},"minItems":2}`:                                                       `[true,true]`,
		`{"required":["a","b","c"],"properties":{"a":{"type":"string"},"b":{"properties":true,"type":"integer"},"d":1}}`: `{"a":"sandbox","b":1,"c":{}}`,
	} {
		call := &tool{Parameters: []byte(schema)}
		if got := (heard{text: "use the tool"}).arguments(call); got != want {
			t.Errorf("%s: got %s, want %s", schema, got, want)
		}
	}
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// create sends a new item, and returns how the server repeats it.
func (c *call) create(item string) heardEvent {
	c.t.Helper()
	c.send(`{"type":"conversation.item.create","item":` + item + `}`)
	return c.expect("conversation.item.added")
}

// reply asks for a response, and returns what is said in it.
func (c *call) reply() string {
	c.t.Helper()
	c.send(`{"type":"response.create"}`)
	return saidIn(c.until("response.done"))
}

func saidIn(events []heardEvent) string {
	output := events[len(events)-1].Response.Output
	if len(output) != 1 || len(output[0].Content) != 1 {
		return ""
	}
	return output[0].Content[0].Transcript
}

func TestItems(t *testing.T) {
	sound := base64.StdEncoding.EncodeToString(speech(time.Second, 24000))
	for _, test := range []struct{ name, item, want, said string }{
		{"a text of the user", `{"type":"message","role":"user","content":[{"type":"input_text","text":"Hello"}]}`,
			`message user input_text Hello`, "I heard “Hello”."},
		{"its other name", `{"type":"message","role":"user","content":[{"type":"text","text":"Hello"},{"type":"input_text","text":"there"}]}`,
			`message user text Hello input_text there`, "I heard “Hello there”."},
		{"sound of the user", `{"type":"message","role":"user","content":[{"type":"input_audio","audio":"` + sound + `","transcript":"Hello"}]}`,
			`message user input_audio Hello`, "I heard you speak for 1.0 seconds."},
		{"what the system says", `{"type":"message","role":"system","content":[{"type":"input_text","text":"It is late."}]}`,
			`message system input_text It is late.`, "I have heard nothing new from you."},
		{"what the agent said once", `{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Good evening"}]}`,
			`message assistant output_text Good evening`, "I have heard nothing new from you."},
		{"what a tool told", `{"type":"function_call_output","call_id":"call","output":"{\"degrees\":21}"}`,
			`function_call_output call {"degrees":21}`, "The tool told me “{\"degrees\":21}”."},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *call) {
				item := c.create(test.item).Item
				parts := []string{item.Type, item.Role}
				for _, part := range item.Content {
					parts = append(parts, part.Type, part.Text+part.Transcript)
				}
				parts = append(parts, item.CallID, item.Output)
				got := strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
				if got != test.want || item.ID == "" || item.Status != "completed" || item.Replayed {
					t.Errorf("got %s in %+v, want %s", got, item, test.want)
				}
				if said := c.reply(); !strings.HasPrefix(said, test.said) {
					t.Errorf("said %q, want %q", said, test.said)
				}
			})
		})
	}
}

func TestAForceMessageIsSaidAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		c.send(`{"type":"conversation.item.create","item":{"type":"force_message","role":"assistant","content":[{"type":"output_text","text":"This call is being recorded."}]}}`)
		events := c.until("response.done")
		if got := kinds(events); !slices.Equal(got, replyKinds) {
			t.Errorf("got %q", got)
		}
		if said := saidIn(events); said != "This call is being recorded." {
			t.Errorf("said %q", said)
		}
		c.send(`{"type":"response.create"}`)
		c.until("response.output_audio.delta")
		c.send(`{"type":"conversation.item.create","item":{"type":"force_message","content":[{"type":"output_text","text":"Hello"}]}}`)
		if events := c.until("error"); events[len(events)-1].Error.Code != "conversation_already_has_active_response" {
			t.Errorf("in the middle of another response: got %+v", events[len(events)-1].Error)
		}
	})
}

func TestAForceMessageMayNotBeInterrupted(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		c.send(listenForSpeech)
		c.expect("session.updated")
		c.send(`{"type":"conversation.item.create","item":{"type":"force_message","interruptible":false,"content":[{"type":"output_text","text":"This call is being recorded."}]}}`)
		c.until("response.output_audio_transcript.delta")
		c.appendSound(speech(500*time.Millisecond, 24000))
		events := c.until("response.done")
		if got := events[len(events)-1].Response.Status; got != "completed" {
			t.Errorf("the response ended as %q", got)
		}
		c.expect("ping") // what was said meanwhile is lost
		c.appendSound(speech(500*time.Millisecond, 24000))
		c.expect("input_audio_buffer.speech_started")
	})
}

func TestIdsAndPlacesOfItems(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		at := func(previous, id string) heardEvent {
			c.send(`{"type":"conversation.item.create","previous_item_id":` + previous + `,"item":{"id":"` + id + `","type":"message","role":"user","content":[{"type":"text","text":"Hello"}]}}`)
			return c.next()
		}
		for _, test := range []struct{ previous, id, want string }{
			{`null`, "b", ""}, {`"root"`, "a", ""}, {`"b"`, "d", "b"}, {`"b"`, "c", "b"}, {`null`, "e", "d"},
		} {
			if got := at(test.previous, test.id); got.Item.ID != test.id || got.Previous != test.want {
				t.Errorf("%s after %s: got %q after %q, want it after %q", test.id, test.previous, got.Item.ID, got.Previous, test.want)
			}
		}
		if got := at(`null`, "c").Error; got.Param != "item.id" {
			t.Errorf("an id for the second time: got %+v", got)
		}
	})
}

func TestDeletingItems(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		item := c.create(`{"type":"message","role":"user","content":[{"type":"text","text":"Hello"}]}`).Item.ID
		remove := `{"type":"conversation.item.delete","item_id":"` + item + `"}`
		c.send(remove)
		if got := c.expect("conversation.item.deleted").ItemID; got != item {
			t.Errorf("%q was deleted, want %q", got, item)
		}
		c.send(remove)
		c.expect("error")
		if got := c.create(`{"type":"message","role":"user","content":[{"type":"text","text":"Hello"}]}`).Previous; got != "" {
			t.Errorf("an item comes after %q, which was deleted", got)
		}
	})
}

func TestTruncatingItems(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		user := c.create(`{"type":"message","role":"user","content":[{"type":"text","text":"Hello"}]}`).Item.ID
		c.send(`{"type":"response.create"}`)
		events := c.until("response.output_audio_transcript.delta")
		truncate := func(item, index, end string) heardEvent {
			c.send(`{"type":"conversation.item.truncate","item_id":"` + item + `","content_index":` + index + `,"audio_end_ms":` + end + `}`)
			for {
				if e := c.next(); !strings.HasPrefix(e.Type, "response.") {
					return e
				}
			}
		}
		agent := events[len(events)-1].ItemID // it is being said
		if got := truncate(agent, "0", "250"); got.Type != "conversation.item.truncated" || got.ItemID != agent || got.EndMS != 250 {
			t.Errorf("got %+v", got)
		}
		for _, test := range []struct{ name, item, index, end, param string }{
			{"what the user typed", user, "0", "0", "item_id"},
			{"another part", agent, "1", "0", "item_id"},
			{"no part", agent, "null", "0", "content_index"},
			{"no time", agent, "0", "null", "audio_end_ms"},
			{"a negative time", agent, "0", "-1", "audio_end_ms"},
		} {
			if got := truncate(test.item, test.index, test.end); got.Type != "error" || got.Error.Param != test.param {
				t.Errorf("%s: got %+v", test.name, got)
			}
		}
	})
}

func TestMetadataComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		for _, test := range []struct{ response, want string }{
			{`{"metadata":{"topic":"weather","n":"1"}}`, `{"topic":"weather","n":"1"}`},
			{`{"metadata":null}`, ``},
			{`{"instructions":"Be brief."}`, ``},
			{`null`, ``},
		} {
			c.send(`{"type":"response.create","response":` + test.response + `}`)
			events := c.until("response.done")
			for _, e := range []heardEvent{events[0], events[len(events)-1]} {
				if got := string(e.Response.Metadata); got != test.want {
					t.Errorf("%s: %s has metadata %s, want %s", test.response, e.Type, got, test.want)
				}
			}
		}
	})
}

func TestEventsHaveAPreviousItemID(t *testing.T) {
	var events []map[string]any
	s := newSession(client{hearEvent: func(sent any) {
		var e map[string]any
		if err := json.Unmarshal(encode(sent), &e); err != nil {
			t.Error(err)
		}
		events = append(events, e)
	}}, "", new(conversations).begin(""))
	defer s.close()
	s.open()
	s.receive(true, []byte(`{`))
	for _, e := range events {
		if _, ok := e["previous_item_id"]; !ok {
			t.Errorf("%v has no previous_item_id", e)
		}
	}
}

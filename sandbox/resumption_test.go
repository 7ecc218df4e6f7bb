// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const resume = `{"resumption":{"enabled":true}}`

// reconnect opens a session that goes on with a conversation.
func reconnect(t *testing.T, s *Server, client *http.Client, conversation string) *call {
	t.Helper()
	return dial(t, client, "http://sandbox", withBearer(mintToken(t, s)), "&conversation_id="+conversation)
}

func TestResumption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(Server)
		client := startInBubble(t, s)
		first := reconnect(t, s, client, "")
		first.update(resume)
		first.update(weather)
		first.send(typed("Hello"))
		first.send(`{"type":"response.create"}`)
		first.until("response.done")
		first.send(typed("Use the tool"))
		first.send(`{"type":"response.create"}`)
		first.until("response.done")
		first.appendSound(speech(time.Second, 24000))
		first.send(`{"type":"input_audio_buffer.commit"}`)
		first.until("conversation.item.input_audio_transcription.completed")
		first.expect("conversation.item.input_audio_transcription.completed")
		deleted := first.create(`{"type":"message","role":"user","content":[{"type":"text","text":"Forget this"}]}`).Item.ID
		first.send(`{"type":"conversation.item.delete","item_id":"` + deleted + `"}`)
		first.until("conversation.item.deleted")
		_ = first.conn.CloseNow()

		for _, name := range []string{"once", "and again"} {
			second := reconnect(t, s, client, first.conversation)
			if second.conversation != first.conversation {
				t.Errorf("%s: the conversation is %s, want %s", name, second.conversation, first.conversation)
			}
			second.update(resume)
			previous := ""
			for _, want := range []string{
				"user Hello", "assistant I heard “Hello”.", "user Use the tool", `weather {"city":"sandbox"}`, "user (I spoke for 1.0 seconds.)",
			} {
				e := second.expect("conversation.item.created")
				got := e.Item.Name + e.Item.Role + " " + e.Item.Arguments
				if len(e.Item.Content) == 1 {
					got += e.Item.Content[0].Text + e.Item.Content[0].Transcript
				}
				if !strings.HasPrefix(got, want) || !e.Item.Replayed || e.Item.Status != "completed" || e.Previous != previous {
					t.Errorf("%s: got %q in %+v, want %q after %q", name, got, e, want, previous)
				}
				previous = e.Item.ID
			}
			// They come once, and before what is new.
			second.update(resume)
			c := second.create(`{"type":"message","role":"user","content":[{"type":"text","text":"Hello again"}]}`)
			if c.Previous != previous || c.Item.Replayed {
				t.Errorf("%s: the next item is %+v, want it after %q", name, c, previous)
			}
			second.send(`{"type":"conversation.item.delete","item_id":"` + c.Item.ID + `"}`)
			second.expect("conversation.item.deleted")
		}
	})
}

func TestWhatIsNotResumed(t *testing.T) {
	for _, test := range []struct {
		name          string
		before, after string // what the sessions ask for
		wait          time.Duration
		sameID        bool
	}{
		{"a conversation that nobody wanted to resume", `{}`, resume, 0, false},
		{"one that nobody wants to resume now", resume, `{}`, 0, true},
		{"one that is too old", resume, resume, resumable + time.Second, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(Server)
				client := startInBubble(t, s)
				first := reconnect(t, s, client, "")
				first.update(test.before)
				first.create(`{"type":"message","role":"user","content":[{"type":"text","text":"Hello"}]}`)
				_ = first.conn.CloseNow()
				time.Sleep(test.wait)

				second := reconnect(t, s, client, first.conversation)
				if same := second.conversation == first.conversation; same != test.sameID {
					t.Errorf("the conversation is %s, and was %s", second.conversation, first.conversation)
				}
				second.update(test.after)
				second.expect("ping") // and no item
			})
		})
	}
}

func TestOldConversationsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(conversations)
		for range 100 {
			kept := c.begin("")
			kept.keep(nil)
		}
		time.Sleep(resumable + time.Second)
		kept := c.begin("")
		kept.keep(nil)
		if got := len(c.kept); got != 1 {
			t.Errorf("%d conversations are known, want the one that can be resumed", got)
		}
	})
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// typed returns the event of a user who typed text.
func typed(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return `{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":` + string(quoted) + `}]}}`
}

// inBubble holds a session in a bubble, where replies take no time.
func inBubble(t *testing.T, converse func(t *testing.T, c *call)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := new(Server)
		converse(t, dial(t, startInBubble(t, s), "http://sandbox", withSubprotocol(mintToken(t, s))))
	})
}

var replyKinds = []string{
	"response.created",
	"response.output_item.added",
	"conversation.item.added",
	"response.content_part.added",
	"response.output_audio.delta",
	"response.output_audio_transcript.delta",
	"response.output_audio_transcript.done",
	"response.content_part.done",
	"response.output_audio.done",
	"response.output_item.done",
	"response.done",
}

func TestTypedTurn(t *testing.T) {
	// Over a real network and in real time, once.
	s := new(Server)
	server := start(t, s)
	c := dial(t, server.Client(), server.URL, withSubprotocol(mintToken(t, s)))
	c.send(typed("How is the  weather?"))
	added := c.expect("conversation.item.added").Item
	if added.Role != "user" || added.ID == "" || len(added.Content) != 1 || added.Content[0].Text != "How is the  weather?" {
		t.Errorf("got item %+v", added)
	}
	c.send(`{"type":"response.create"}`)
	events := c.until("response.done")
	if got := kinds(events); !slices.Equal(got, replyKinds) {
		t.Errorf("got %q", got)
	}
	said := ""
	for _, e := range events {
		if e.Type == "response.output_audio_transcript.delta" {
			said += e.Delta
		}
		if e.Type == "response.output_audio_transcript.done" && e.Transcript != said {
			t.Errorf("said %q in pieces and %q as a whole", said, e.Transcript)
		}
	}
	if !strings.Contains(said, "I heard “How is the weather?”.") {
		t.Errorf("said %q, want a reply to what was typed", said)
	}
	done := events[len(events)-1].Response
	if done.Status != "completed" || len(done.Output) != 1 || done.Output[0].Status != "completed" {
		t.Errorf("got response %+v", done)
	}
}

func TestReplyIsPaced(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		c.send(`{"type":"response.create"}`)
		begin := time.Now()
		var sound time.Duration
		var texts int
		for {
			e := c.next()
			if e.Type == "response.output_audio_transcript.delta" {
				texts++
			}
			if e.Type == "response.output_audio.delta" {
				pcm, err := base64.StdEncoding.DecodeString(e.Delta)
				if err != nil || len(pcm) == 0 || len(pcm)%2 != 0 {
					t.Fatalf("got sound of %d bytes and error %v", len(pcm), err)
				}
				if ahead := sound - time.Since(begin); ahead < 0 || ahead > 500*time.Millisecond {
					t.Errorf("the sound of %v came %v ahead, want up to 500ms", sound, ahead)
				}
				sound += time.Duration(len(pcm)) * time.Second / (2 * 24000)
			}
			if e.Type == "response.done" {
				break
			}
		}
		if sound < 2*time.Second || sound > 4*time.Second {
			t.Errorf("the reply takes %v, want 2 to 4 s", sound)
		}
		if texts < 5 {
			t.Errorf("the transcript came in %d pieces, want them spread", texts)
		}
	})
}

func TestReplies(t *testing.T) {
	t.Run("differ, and admit that nothing was said", func(t *testing.T) {
		inBubble(t, func(t *testing.T, c *call) {
			seen := make(map[string]bool)
			for i := range len(remarks) + 1 {
				c.send(`{"type":"response.create"}`)
				events := c.until("response.output_audio_transcript.done")
				c.until("response.done")
				said := events[len(events)-1].Transcript
				if !strings.HasPrefix(said, "I have heard nothing new from you.") {
					t.Errorf("said %q", said)
				}
				if seen[said] != (i == len(remarks)) {
					t.Errorf("reply %d: said %q", i, said)
				}
				seen[said] = true
			}
		})
	})
	t.Run("quote the beginning of a long text", func(t *testing.T) {
		if got, want := (heard{text: strings.Repeat("ä", 61)}).answer(), "I heard “"+strings.Repeat("ä", 60)+"…”."; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("follow the rate that was asked for", func(t *testing.T) {
		inBubble(t, func(t *testing.T, c *call) {
			c.send(`{"type":"session.update","session":{"audio":{"output":{"format":{"type":"audio/pcm","rate":8000}}}}}`)
			c.expect("session.updated")
			c.send(`{"type":"response.create"}`)
			events := c.until("response.output_audio.delta")
			if pcm, err := base64.StdEncoding.DecodeString(events[len(events)-1].Delta); err != nil || len(pcm) != 1600 {
				t.Errorf("got %d bytes for 100 ms at 8000 Hz (%v)", len(pcm), err)
			}
		})
	})
	t.Run("come one at a time", func(t *testing.T) {
		inBubble(t, func(t *testing.T, c *call) {
			c.send(`{"type":"response.create"}{`)
			c.expect("error")
			c.send(`{"type":"response.create"}`)
			c.until("response.output_audio.delta")
			c.send(`{"type":"response.create"}`)
			events := c.until("error")
			if code := events[len(events)-1].Error.Code; code != "conversation_already_has_active_response" {
				t.Errorf("got error %q", code)
			}
			events = c.until("response.done")
			if status := events[len(events)-1].Response.Status; status != "completed" {
				t.Errorf("the first response ended as %q", status)
			}
		})
	})
	t.Run("can be cancelled", func(t *testing.T) {
		inBubble(t, func(t *testing.T, c *call) {
			c.send(`{"type":"response.cancel"}`)
			if code := c.expect("error").Error.Code; code != "response_cancel_not_active" {
				t.Errorf("got error %q", code)
			}
			c.send(`{"type":"response.create"}`)
			c.until("response.output_audio_transcript.delta")
			c.send(`{"type":"response.cancel"}`)
			events := c.until("response.done")
			mustBeCancelled(t, events)
			// Nothing of it comes later.
			c.expect("ping")
		})
	})
}

func mustBeCancelled(t *testing.T, events []heardEvent) {
	t.Helper()
	done := events[len(events)-1].Response
	if done.Status != "cancelled" || done.StatusDetails != "unimplemented" || done.Output[0].Status != "incomplete" {
		t.Errorf("got response %+v, want it cancelled", done)
	}
	if got := kinds(events); !slices.Equal(got[len(got)-5:], replyKinds[6:]) {
		t.Errorf("got %q", got)
	}
}

func TestPings(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		for range 3 {
			begin := time.Now()
			c.expect("ping")
			if took := time.Since(begin); took != 15*time.Second {
				t.Errorf("a ping took %v, want 15s", took)
			}
		}
	})
}

func TestSessionOutlivesItsToken(t *testing.T) {
	inBubble(t, func(_ *testing.T, c *call) {
		for begin := time.Now(); time.Since(begin) < 2*time.Hour; {
			c.expect("ping")
		}
		c.send(`{"type":"response.create"}`)
		c.until("response.done")
	})
}

func TestClientsThatDoNotReadLoseTheirSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(Server)
		handler := watch(s)
		dial(t, startInBubble(t, handler), "http://sandbox", withBearer(mintToken(t, s)))
		begin := time.Now()
		// The next event, a ping, is not taken.
		if ended := <-handler.done; ended != nil {
			t.Error(ended)
		}
		if took := time.Since(begin); took != pingInterval+writeTimeout {
			t.Errorf("took %v, want %v", took, pingInterval+writeTimeout)
		}
	})
}

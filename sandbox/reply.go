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

const (
	chunksPerSecond = 10

	// Sound is sent this much before it is due, so that a network's hiccup is not
	// heard. It is not sent much earlier, because what was sent cannot be
	// interrupted.
	headStart = 400 * time.Millisecond

	longestQuote = 60 // characters
)

// remarks come one after the other at the end of the replies.
var remarks = []string{
	"I am the sandbox and no real model, so that is all I can say about it.",
	"Your token worked, and so does your sound.",
	"None of this reaches xAI, and none of it costs anything.",
	"With an API key in place of the sandbox, Grok would answer you here.",
}

// reply is what the agent says, and how much of it was said.
type reply struct {
	id, item string
	began    time.Time
	words    []string
	said     int      // words
	chunks   [][]byte // of sound
	sent     int      // chunks
}

func (s *session) createResponse() error {
	if s.reply != nil {
		return &clientError{Code: "response_active", Message: "There is a response already. Wait for response.done, or cancel it."}
	}
	s.answer()
	return nil
}

func (s *session) cancelResponse() error {
	if s.reply == nil {
		return &clientError{Code: "response_not_active", Message: "There is no response to cancel."}
	}
	s.finish("cancelled", "client_cancelled")
	return nil
}

// answer begins a reply to what was heard last.
func (s *session) answer() {
	words := strings.SplitAfter(s.heard.answer()+" "+remarks[s.replies%len(remarks)], " ")
	length := min(max(time.Duration(len(words))*170*time.Millisecond, 2*time.Second), 4*time.Second)
	rate := s.settings.output.Rate
	s.reply = &reply{
		id:     newID("resp"),
		item:   newID("item"),
		began:  time.Now(),
		words:  words,
		chunks: slices.Collect(slices.Chunk(synthesize(length, rate), 2*rate/chunksPerSecond)),
	}
	s.replies++
	s.heard = heard{}

	s.send("response.created", event{"response": s.reply.object("in_progress", "")})
	s.sendOfReply("response.output_item.added", event{"item": s.reply.itemObject("in_progress")})
	s.sendOfReply("response.content_part.added", event{
		"item_id": s.reply.item, "content_index": 0, "part": s.reply.part(),
	})
	s.lastItem = s.reply.item
	s.speak()
}

// answer says what was heard.
func (h heard) answer() string {
	text := strings.Join(strings.Fields(h.text), " ")
	if runes := []rune(text); len(runes) > longestQuote {
		text = strings.TrimSpace(string(runes[:longestQuote])) + "…"
	}
	switch {
	case text != "":
		return fmt.Sprintf("I heard “%s”.", text)
	case h.spoken > 0:
		return fmt.Sprintf("I heard you speak for %s.", inWords(h.spoken))
	default:
		return "I have heard nothing new from you."
	}
}

// speak sends what of the reply is due, and sees to it that the rest follows.
func (s *session) speak() {
	r := s.reply
	for ; r.sent < len(r.chunks); r.sent++ {
		due := r.began.Add(time.Duration(r.sent)*time.Second/chunksPerSecond - headStart)
		if wait := time.Until(due); wait > 0 {
			s.next.Reset(wait)
			return
		}
		s.sendOfContent("response.output_audio.delta", event{
			"delta": base64.StdEncoding.EncodeToString(r.chunks[r.sent]),
		})
		if words := r.words[r.said : (r.sent+1)*len(r.words)/len(r.chunks)]; len(words) > 0 {
			s.sendOfContent("response.output_audio_transcript.delta", event{"delta": strings.Join(words, "")})
			r.said += len(words)
		}
	}
	s.finish("completed", "")
}

// finish ends the reply, however much of it was said. A reply that was not
// completed has a reason.
func (s *session) finish(status, reason string) {
	s.next.Stop()
	itemStatus := "completed"
	if reason != "" {
		itemStatus = "incomplete"
	}
	s.sendOfContent("response.output_audio_transcript.done", event{"transcript": s.reply.transcript()})
	s.sendOfContent("response.output_audio.done", event{})
	s.sendOfContent("response.content_part.done", event{"part": s.reply.part()})
	s.sendOfReply("response.output_item.done", event{"item": s.reply.itemObject(itemStatus)})

	response := s.reply.object(status, reason)
	response["output"] = []event{s.reply.itemObject(itemStatus)}
	s.reply = nil
	s.send("response.done", event{"response": response})
}

func (s *session) sendOfReply(kind string, e event) {
	e["response_id"] = s.reply.id
	e["output_index"] = 0
	s.send(kind, e)
}

func (s *session) sendOfContent(kind string, e event) {
	e["item_id"] = s.reply.item
	e["content_index"] = 0
	s.sendOfReply(kind, e)
}

func (r *reply) object(status, reason string) event {
	object := event{
		"id":     r.id,
		"object": "realtime.response",
		"status": status,
		"output": []event{},
	}
	if reason != "" {
		object["status_details"] = event{"type": status, "reason": reason}
	}
	return object
}

func (r *reply) itemObject(status string) event {
	return event{
		"id":      r.item,
		"object":  "realtime.item",
		"type":    "message",
		"status":  status,
		"role":    "assistant",
		"content": []event{r.part()},
	}
}

func (r *reply) part() event {
	return event{"type": "output_audio", "transcript": r.transcript()}
}

// transcript returns the words that were said.
func (r *reply) transcript() string {
	return strings.TrimSpace(strings.Join(r.words[:r.said], ""))
}

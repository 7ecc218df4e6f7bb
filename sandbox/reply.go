// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/base64"
	"encoding/json"
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
	id, item      string
	metadata      json.RawMessage // the client's own, or nil
	interruptible bool
	audio         audio // what the session had when it began
	began         time.Time
	words         []string
	said          int       // words
	chunks        [][]int16 // of sound
	sent          int       // chunks
}

var errActive = outOfTurn("conversation_already_has_active_response", "There is a response already. Wait for response.done, or cancel it.")

func (s *session) createResponse(data []byte) error {
	var create struct {
		Response struct {
			Metadata json.RawMessage `json:"metadata"`
		} `json:"response"`
	}
	if err := decode(data, &create); err != nil {
		return err
	}
	metadata := create.Response.Metadata
	if string(metadata) == "null" {
		metadata = nil
	}
	if metadata != nil && json.Unmarshal(metadata, new(map[string]any)) != nil {
		return invalid("response.metadata", "metadata is an object.")
	}
	if s.reply != nil {
		return errActive
	}
	s.answer(metadata)
	return nil
}

func (s *session) cancelResponse() error {
	if s.reply == nil {
		return outOfTurn("response_cancel_not_active", "There is no response to cancel.")
	}
	s.finish("cancelled")
	return nil
}

// answer replies to what was heard last.
func (s *session) answer(metadata json.RawMessage) {
	about := s.heard
	s.heard = heard{}
	if s.settings.tool != nil && about.asksForTool() {
		s.callTool(about.arguments(s.settings.tool), metadata)
		return
	}
	text := about.answer() + " " + remarks[s.replies%len(remarks)]
	s.replies++
	s.say(text, &reply{metadata: metadata, interruptible: true})
}

// answer says what was heard.
func (h heard) answer() string {
	switch {
	case h.asksForTool():
		return "There is no function among the tools of this session."
	case strings.TrimSpace(h.text) != "":
		return fmt.Sprintf("I heard “%s”.", quote(h.text))
	case h.told != "":
		return fmt.Sprintf("The tool told me “%s”.", quote(h.told))
	case h.spoken > 0:
		return fmt.Sprintf("I heard you speak for %s.", inWords(h.spoken))
	default:
		return "I have heard nothing new from you."
	}
}

// quote returns text on one line, and only the beginning of a long one.
func quote(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > longestQuote {
		text = strings.TrimSpace(string(runes[:longestQuote])) + "…"
	}
	return text
}

// say begins to say text, in a reply that has what is special about it.
func (s *session) say(text string, r *reply) {
	r.id = newID()
	if r.item == "" {
		r.item = newID()
	}
	r.audio = s.settings.output
	r.began = time.Now()
	r.words = strings.SplitAfter(text, " ")
	rate := r.audio.format.rate
	length := min(max(time.Duration(len(r.words))*170*time.Millisecond, 2*time.Second), 4*time.Second)
	r.chunks = slices.Collect(slices.Chunk(synthesize(length, rate), rate/chunksPerSecond))
	s.reply = r
	s.idle.Stop()

	s.send("response.created", event{"response": responseObject(r.id, "in_progress", r.metadata)})
	item := r.itemObject("in_progress")
	item["content"] = []event{}
	s.sendOfReply("response.output_item.added", event{"item": item})
	s.addItem(item)
	s.sendOfContent("response.content_part.added", event{"part": r.part()})
	s.speak()
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
		s.sendSound(r.chunks[r.sent])
		if words := r.words[r.said : (r.sent+1)*len(r.words)/len(r.chunks)]; len(words) > 0 {
			s.sendOfContent("response.output_audio_transcript.delta", event{"delta": strings.Join(words, "")})
			r.said += len(words)
		}
	}
	s.finish("completed")
}

func (s *session) sendSound(samples []int16) {
	sound := s.reply.audio.encode(samples)
	if s.reply.audio.transport == transportBinary {
		s.client.hearSound(sound)
		return
	}
	s.sendOfContent("response.output_audio.delta", event{
		"delta":             base64.StdEncoding.EncodeToString(sound),
		"audio_duration_ms": s.reply.audio.duration(len(samples)).Milliseconds(),
	})
}

// finish ends the reply, however much of it was said.
func (s *session) finish(status string) {
	s.next.Stop()
	r := s.reply
	itemStatus := "completed"
	if status != "completed" {
		itemStatus = "incomplete"
	}
	s.sendOfContent("response.output_audio_transcript.done", event{"transcript": r.transcript()})
	s.sendOfContent("response.content_part.done", event{"part": r.part()})
	s.sendOfContent("response.output_audio.done", event{})
	item := r.itemObject(itemStatus)
	s.sendOfReply("response.output_item.done", event{"item": item})
	s.replaceItem(item)

	s.reply = nil
	s.sendDone(responseObject(r.id, status, r.metadata), item, r)
	s.waitForUser()
}

// sendDone ends a response that consists of one item; spoken is the reply, or nil.
func (s *session) sendDone(response, item event, spoken *reply) {
	tokens, seconds := 1, 0.0
	if spoken != nil {
		tokens = spoken.said
		seconds = (time.Duration(spoken.sent) * time.Second / chunksPerSecond).Seconds()
	}
	response["output"] = []event{item}
	s.send("response.done", event{
		"response": response,
		"usage":    event{"total_tokens": tokens, "output_audio_seconds": seconds},
	})
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

// responseObject returns a response without its output. Neither its details nor
// its usage say anything: xAI has the latter beside the response.
func responseObject(id, status string, metadata json.RawMessage) event {
	object := event{
		"id":             id,
		"object":         "realtime.response",
		"status":         status,
		"status_details": "unimplemented",
		"output":         []event{},
		"usage":          event{},
	}
	if metadata != nil {
		object["metadata"] = metadata
	}
	return object
}

func (r *reply) itemObject(status string) event {
	return event{
		"id":       r.item,
		"object":   "realtime.item",
		"type":     "message",
		"status":   status,
		"role":     "assistant",
		"content":  []event{r.part()},
		"replayed": false,
	}
}

func (r *reply) part() event {
	return event{"type": "audio", "transcript": r.transcript()}
}

// transcript returns the words that were said.
func (r *reply) transcript() string {
	return strings.TrimSpace(strings.Join(r.words[:r.said], ""))
}

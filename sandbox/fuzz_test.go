// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// FuzzUnmarshalCaddyfile looks for a block that crashes the parser, that it
// accepts although it is not valid or does not survive its way through JSON, or
// that it refuses without saying where.
func FuzzUnmarshalCaddyfile(f *testing.F) {
	f.Add("xai_sandbox {\napi_key some-key\nlatency 1s\n}")
	f.Add("xai_sandbox junk {\n}")
	f.Add("xai_sandbox {\nlatency 1d\napi_key {env.A}\n}")
	f.Add("xai_sandbox {\nlatency -1s\n}")
	f.Add("xai_sandbox {\nlatency 1s {\n}\n}")
	f.Add("xai_sandbox {\napi_key <<X\na\nX\n}")
	f.Fuzz(func(t *testing.T, input string) {
		tokens, err := caddyfile.Tokenize([]byte(input), "Caddyfile")
		if err != nil || len(tokens) == 0 || tokens[0].Text != "xai_sandbox" {
			t.Skip() // Caddy itself refuses it, or does not hand it on
		}
		h := new(Handler)
		if err := h.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
			if !strings.Contains(err.Error(), ", at Caddyfile:") {
				t.Errorf("the error %q names no line", err)
			}
			return
		}
		if err := h.Validate(); err != nil {
			t.Errorf("%q was parsed and is not valid: %v", input, err)
		}
		encoded, err := json.Marshal(h) //nolint:gosec // the key is made up
		if err != nil {
			t.Fatal(err)
		}
		reloaded := new(Handler)
		if err := caddy.StrictUnmarshalJSON(encoded, reloaded); err != nil {
			t.Fatal(err)
		}
		if strings.ToValidUTF8(input, "") == input && (reloaded.APIKey != h.APIKey || reloaded.Latency != h.Latency) {
			t.Errorf("%q became %s", input, encoded)
		}
	})
}

// FuzzReceive holds the sandbox to answering anything that a client sends, one
// message a line, with a conversation as xAI's protocol has it. The message
// "wait" lets half a second go by, and the one "binary" is a binary frame.
func FuzzReceive(f *testing.F) {
	sound := func(length time.Duration) string {
		return `{"type":"input_audio_buffer.append","audio":"` + base64.StdEncoding.EncodeToString(speech(length, 8000)) + `"}`
	}
	const (
		slowSpeech = `{"type":"session.update","session":{"turn_detection":{"type":"server_vad"},"audio":{"input":{"format":{"type":"audio/pcm","rate":8000}}}}}`
		create     = `{"type":"response.create"}`
	)
	quiet := `{"type":"input_audio_buffer.append","audio":"` + strings.Repeat("A", 12_000) + `"}`
	for _, messages := range [][]string{
		{listenForSpeech, "wait"},
		{typed("Hello"), create, `{"type":"response.cancel"}`},
		{create, "wait", "wait", create, "wait", typed("\x00 ü \u2028"), `{"type":"response.cancel"}`, create},
		{sound(10 * time.Millisecond), `{"type":"input_audio_buffer.commit"}`, create, "wait"},
		{slowSpeech, create, "wait", sound(100 * time.Millisecond), "wait", quiet, "wait", sound(100 * time.Millisecond)},
		{slowSpeech, sound(100 * time.Millisecond), create, quiet, `{"type":"input_audio_buffer.clear"}`, "wait"},
		{`{"type":"session.update","session":{"voice":"rex","audio":{"output":{"format":{"type":"audio/pcm","rate":8000}}}}}`, create},
		{create, `{"type":"session.update","session":{"audio":{"output":{"format":{"rate":48000}}}}}`, "wait"},
		{`{"type":"session.update","session":{"turn_detection":null}}`, `{"type":"session.update","session":{"turn_detection":[]}}`},
		{typed("Use the tool"), `{"type":"session.update","session":{"tools":[{"type":"function","name":"f","parameters":{"required":["a"],"properties":{"a":{"type":["array"],"minItems":2}}}}]}}`, create,
			`{"type":"conversation.item.create","item":{"type":"function_call_output","call_id":"c","output":"1"}}`, create, "wait"},
		{`{"type":"session.update","session":{"resumption":{"enabled":true},"audio":{"input":{"format":{"type":"audio/pcmu"},"transport":"binary"},"output":{"format":{"type":"audio/pcma"},"transport":"binary"}}}}`, "binary", create, "wait"},
		{`{"type":"conversation.item.create","item":{"type":"force_message","id":"f","interruptible":false,"content":[{"type":"text","text":"Hello"}]}}`, slowSpeech, sound(100 * time.Millisecond),
			`{"type":"conversation.item.truncate","item_id":"f","content_index":0,"audio_end_ms":1}`, `{"type":"conversation.item.delete","item_id":"f"}`, "wait"},
		{`{"type":"session.update","session":{"turn_detection":{"type":"server_vad","idle_timeout_ms":100,"silence_duration_ms":0}}}`, create, "wait", "wait", "wait", `{"type":"session.update","session":{"turn_detection":{"type":null}}}`},
		{`{"type":"conversation.item.create","item":null}`, `[{"type":`, "binary", "", `{"TYPE":"response.create"}`},
	} {
		f.Add(strings.Join(messages, "\n"))
	}
	f.Fuzz(func(t *testing.T, messages string) {
		if strings.Count(messages, "\n") > 50 {
			t.Skip() // a reply takes a while to make up
		}
		synctest.Test(t, func(t *testing.T) {
			got := &listener{t: t, ids: make(map[string]bool)}
			s := newSession(client{got.hear, got.hearSound}, "model", new(conversations).begin(""))
			defer s.close()
			s.open()
			for message := range strings.SplitSeq(messages, "\n") {
				got.handle(s, message)
			}
			s.receive(true, []byte(`{"type":"session.update","session":{"turn_detection":{"type":null}}}`)) // nobody speaks up any more
			pass(s, 10*time.Second)
			if got.reply != "" {
				t.Error("a reply never ends")
			}
		})
	})
}

// pass lets time go by for a session.
func pass(s *session, length time.Duration) {
	for end := time.After(length); ; {
		select {
		case <-s.next.C:
			s.speak()
		case <-s.idle.C:
			s.speakUp()
		case <-end:
			return
		}
	}
}

// listener is a client, with what it hears and what it may hear next.
type listener struct {
	t     *testing.T
	ids   map[string]bool
	heard int    // events
	reply string // the id of the response that is being given
	said  string // in it so far
}

func (c *listener) handle(s *session, message string) {
	c.t.Helper()
	before := c.heard
	switch message {
	case "wait":
		pass(s, 500*time.Millisecond)
		return
	case "binary":
		s.receive(false, []byte(message))
	default:
		s.receive(true, []byte(message))
	}
	var head struct{ Type string }
	_ = json.Unmarshal([]byte(message), &head) // what is no JSON must be answered, too
	isSound := head.Type == "input_audio_buffer.append" || message == "binary"
	if c.heard == before && !isSound {
		c.t.Errorf("%q was not answered", message)
	}
}

func (c *listener) hearSound(sound []byte) {
	c.t.Helper()
	c.heard++
	if c.reply == "" || len(sound) == 0 {
		c.t.Errorf("during the response %q came sound of %d bytes", c.reply, len(sound))
	}
}

// hear takes an event as a client would.
func (c *listener) hear(sent any) {
	c.t.Helper()
	c.heard++
	encoded, err := json.Marshal(sent)
	if err != nil {
		c.t.Fatalf("%v is no event: %v", sent, err)
	}
	var e struct {
		heardEvent

		ResponseID string `json:"response_id"`
	}
	if err := json.Unmarshal(encoded, &e); err != nil {
		c.t.Fatalf("%s is no event: %v", encoded, err)
	}
	if e.Type == "" || e.EventID == "" || c.ids[e.EventID] {
		c.t.Errorf("%s has no type, or no id of its own", encoded)
	}
	c.ids[e.EventID] = true
	if strings.HasPrefix(e.Type, "response.") && e.ResponseID+e.Response.ID != c.reply && e.Type != "response.created" {
		c.t.Errorf("during the response %q came %s", c.reply, encoded)
	}
	switch e.Type {
	case "error":
		if e.Error.Code == "" || e.Error.Message == "" {
			c.t.Errorf("%s explains nothing", encoded)
		}
	case "response.created":
		if c.reply != "" || e.Response.ID == "" {
			c.t.Errorf("during the response %q came %s", c.reply, encoded)
		}
		c.reply, c.said = e.Response.ID, ""
	case "response.output_audio.delta":
		if sound, err := base64.StdEncoding.DecodeString(e.Delta); err != nil || len(sound) == 0 {
			c.t.Errorf("got sound of %d bytes and error %v", len(sound), err)
		}
	case "response.output_audio_transcript.delta":
		c.said += e.Delta
	case "response.output_audio_transcript.done":
		if e.Transcript != strings.TrimSpace(c.said) {
			c.t.Errorf("said %q in pieces and %q as a whole", c.said, e.Transcript)
		}
	case "response.done":
		if e.Response.Status != "completed" && e.Response.Status != "cancelled" {
			c.t.Errorf("the response ended as %s", encoded)
		}
		c.reply = ""
	}
}

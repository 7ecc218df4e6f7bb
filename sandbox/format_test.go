// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestTelephoneSound(t *testing.T) {
	for _, kind := range []string{pcmu, pcma} {
		t.Run(kind, func(t *testing.T) {
			telephone := &audio{format: format{kind, telephoneRate}}
			inBubble(t, func(t *testing.T, c *call) {
				c.update(`{"turn_detection":{"type":"server_vad"},"audio":{"input":{"format":{"type":"` + kind + `"}},"output":{"format":{"type":"` + kind + `"}}}}`)
				for _, sound := range [][]byte{silence(time.Second, telephoneRate), speech(2*time.Second, telephoneRate), silence(time.Second, telephoneRate)} {
					c.appendSound(telephone.encode(samplesOf(t, sound)))
				}
				if e := c.expect("input_audio_buffer.speech_started"); e.StartMS != 1000 {
					t.Errorf("speech started at %d ms, want 1000", e.StartMS)
				}
				if e := c.expect("input_audio_buffer.speech_stopped"); e.EndMS != 3000 {
					t.Errorf("speech stopped at %d ms, want 3000", e.EndMS)
				}
				var heard []int16
				for _, e := range c.until("response.done") {
					if e.Type == "response.output_audio.delta" {
						heard = append(heard, decoded(t, telephone, e.Delta)...)
					}
				}
				mustSpeak(t, heard, telephoneRate)
			})
		})
	}
}

func decoded(t *testing.T, a *audio, delta string) []int16 {
	t.Helper()
	sound, err := base64.StdEncoding.DecodeString(delta)
	if err != nil {
		t.Fatal(err)
	}
	samples, err := a.decode(sound, "")
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

// mustSpeak fails unless samples are a reply of the agent's.
func mustSpeak(t *testing.T, samples []int16, rate int) {
	t.Helper()
	if length := time.Duration(len(samples)) * time.Second / time.Duration(rate); length < 2*time.Second || length > 4*time.Second {
		t.Errorf("the reply takes %v, want 2 to 4 s", length)
	}
	var changes []time.Duration
	newDetector(rate, serverVAD).listen(samples, func(at time.Duration) { changes = append(changes, at) })
	if len(changes) != 1 {
		t.Errorf("speech changes at %v, want it to begin and not to end", changes)
	}
}

func TestBinaryFrames(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		c.update(`{"turn_detection":{"type":"server_vad"},"audio":{"input":{"transport":"binary"}}}`)
		frame := func(sound []byte) {
			if err := c.conn.Write(t.Context(), websocket.MessageBinary, sound); err != nil {
				t.Fatal(err)
			}
		}
		frame(make([]byte, 3))
		if got := c.expect("error").Error; got.Code != "invalid_value" {
			t.Errorf("half a sample: got %+v", got)
		}
		frame(speech(time.Second, 24000))
		c.expect("input_audio_buffer.speech_started")
		c.appendSound(silence(time.Second, 24000)) // which is understood as before
		c.expect("input_audio_buffer.speech_stopped")
		if events := c.until("response.done"); !slices.Contains(kinds(events), "response.output_audio.delta") {
			t.Errorf("the other direction changed, too: got %q", kinds(events))
		}
	})
}

func TestTheAgentsSoundInBinaryFrames(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		c.send(`{"type":"response.create"}`)
		c.until("response.output_audio_transcript.delta")
		c.send(`{"type":"session.update","session":{"audio":{"output":{"transport":"binary","format":{"type":"audio/pcm","rate":16000}}}}}`)
		// What is being said goes on as it began.
		for _, e := range c.until("response.done") {
			if e.Type == "response.output_audio.delta" && len(decoded(t, &audio{format: format{pcm, 24000}}, e.Delta)) != 2400 {
				t.Error("the rate changes in the middle of a response")
			}
		}
		c.send(`{"type":"response.create"}`)
		var sound []byte
		for {
			kind, data, err := c.conn.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if kind == websocket.MessageBinary {
				sound = append(sound, data...)
				continue
			}
			e := c.parse(data)
			if e.Type == "response.output_audio.delta" {
				t.Fatal("sound came as an event")
			}
			if e.Type == "response.done" {
				break
			}
		}
		samples, err := (&audio{format: format{pcm, 16000}}).decode(sound, "")
		if err != nil {
			t.Fatal(err)
		}
		mustSpeak(t, samples, 16000)
	})
}

func TestG711(t *testing.T) {
	// From the tables of ITU-T G.711: the largest value, the smallest ones, and one in
	// between, of 16 bits.
	for _, test := range []struct {
		kind   string
		sample int16
		code   byte
		heard  int16
	}{
		{pcmu, 32767, 0x80, 32124}, {pcmu, -32768, 0x00, -32124}, {pcmu, 0, 0xff, 0}, {pcmu, 1000, 0xce, 988}, {pcmu, -1000, 0x4e, -988},
		{pcma, 32767, 0xaa, 32256}, {pcma, -32768, 0x2a, -32256}, {pcma, 0, 0xd5, 8}, {pcma, -1, 0x55, -8}, {pcma, 1000, 0xfa, 1008}, {pcma, -1000, 0x7a, -1008},
	} {
		a := &audio{format: format{test.kind, telephoneRate}}
		code := a.encode([]int16{test.sample})
		heard, err := a.decode(code, "")
		if err != nil || code[0] != test.code || heard[0] != test.heard {
			t.Errorf("%s: %d became %#x and %d, want %#x and %d (%v)", test.kind, test.sample, code[0], heard[0], test.code, test.heard, err)
		}
	}
	// Each code stands for a value that has this code.
	for _, kind := range []string{pcmu, pcma} {
		a := &audio{format: format{kind, telephoneRate}}
		for code := range 256 {
			if kind == pcmu && code == 0x7f {
				continue // the second zero
			}
			samples, err := a.decode([]byte{byte(code)}, "")
			if err != nil {
				t.Fatal(err)
			}
			if again := a.encode(samples); again[0] != byte(code) {
				t.Errorf("%s: %#x became %d and then %#x", kind, code, samples[0], again[0])
			}
		}
	}
}

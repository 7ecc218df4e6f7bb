// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTurnDetection(t *testing.T) {
	const on = `{"idle_timeout_ms":null,"prefix_padding_ms":333,"silence_duration_ms":500,"threshold":0.85,"type":"server_vad"}`
	for _, test := range []struct{ name, session, want string }{
		{"none", `{}`, `{"type":null}`},
		{"null", `{"turn_detection":null}`, `{"type":null}`},
		{"a type that is null", `{"turn_detection":{"type":null}}`, `{"type":null}`},
		{"no type", `{"turn_detection":{}}`, `session.turn_detection.type`},
		{"server_vad", `{"turn_detection":{"type":"server_vad"}}`, on},
		{"server_vad with fields of OpenAI's", `{"turn_detection":{"type":"server_vad","create_response":true}}`, on},
		{"all of it", `{"turn_detection":{"type":"server_vad","threshold":0.9,"silence_duration_ms":10000,"prefix_padding_ms":0,"idle_timeout_ms":6000}}`,
			`{"idle_timeout_ms":6000,"prefix_padding_ms":0,"silence_duration_ms":10000,"threshold":0.9,"type":"server_vad"}`},
		{"semantic_vad", `{"turn_detection":{"type":"semantic_vad"}}`, `session.turn_detection.type`},
		{"a string", `{"turn_detection":"server_vad"}`, `session.turn_detection`},
		{"a type that is a number", `{"turn_detection":{"type":1}}`, `session.turn_detection.type`},
		{"a low threshold", `{"turn_detection":{"type":"server_vad","threshold":0.09}}`, `session.turn_detection.threshold`},
		{"a high threshold", `{"turn_detection":{"type":"server_vad","threshold":0.91}}`, `session.turn_detection.threshold`},
		{"a threshold that is a string", `{"turn_detection":{"type":"server_vad","threshold":"0.5"}}`, `session.turn_detection`},
		{"a negative silence", `{"turn_detection":{"type":"server_vad","silence_duration_ms":-1}}`, `session.turn_detection.silence_duration_ms`},
		{"a long silence", `{"turn_detection":{"type":"server_vad","silence_duration_ms":10001}}`, `session.turn_detection.silence_duration_ms`},
		{"a long padding", `{"turn_detection":{"type":"server_vad","prefix_padding_ms":10001}}`, `session.turn_detection.prefix_padding_ms`},
		{"no time to be idle", `{"turn_detection":{"type":"server_vad","idle_timeout_ms":0}}`, `session.turn_detection.idle_timeout_ms`},

		{"OpenAI's place", `{"audio":{"input":{"turn_detection":{"type":"server_vad"}}}}`, on},
		{"semantic_vad in OpenAI's place", `{"audio":{"input":{"turn_detection":{"type":"semantic_vad","eagerness":"auto"}}}}`, on},
		{"another type in OpenAI's place", `{"audio":{"input":{"turn_detection":{"type":"vad"}}}}`, `session.audio.input.turn_detection.type`},
		{"an empty type in xAI's place", `{"turn_detection":{"type":""}}`, `session.turn_detection.type`},
		{"a low threshold in OpenAI's place", `{"audio":{"input":{"turn_detection":{"type":"server_vad","threshold":0}}}}`, `session.audio.input.turn_detection.threshold`},
		{"both places, of which xAI's counts", `{"turn_detection":{"type":null},"audio":{"input":{"turn_detection":{"type":"server_vad"}}}}`, `{"type":null}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *call) {
				c.send(`{"type":"session.update","session":` + test.session + `}`)
				e := c.next()
				if e.Type == "error" {
					if e.Error.Param != test.want || e.Error.Code != "invalid_value" {
						t.Errorf("got %+v, want %s", e.Error, test.want)
					}
					return
				}
				var session struct {
					TurnDetection json.RawMessage `json:"turn_detection"`
				}
				if err := json.Unmarshal(e.Session, &session); err != nil || string(session.TurnDetection) != test.want {
					t.Errorf("got %s and error %v, want %s", session.TurnDetection, err, test.want)
				}
			})
		})
	}
}

func TestTurnDetectionCanBeSwitchedOff(t *testing.T) {
	for name, off := range map[string]string{
		"by null":                   `{"turn_detection":null}`,
		"by a type that is null":    `{"turn_detection":{"type":null}}`,
		"by null in OpenAI's place": `{"audio":{"input":{"turn_detection":null}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *call) {
				c.send(listenForSpeech)
				c.expect("session.updated")
				if got := c.update(off); !strings.Contains(got, `"turn_detection":{"type":null}`) {
					t.Errorf("got %s", got)
				}
				c.appendSound(slices.Concat(speech(time.Second, 24000), silence(time.Second, 24000)))
				c.expect("ping") // and nothing of what was said
			})
		})
	}
}

func TestTheSilenceThatEndsATurn(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		c.update(`{"turn_detection":{"type":"server_vad","silence_duration_ms":2000}}`)
		c.appendSound(speech(time.Second, 24000))
		c.expect("input_audio_buffer.speech_started")
		c.appendSound(silence(1980*time.Millisecond, 24000))
		c.expect("ping")
		c.appendSound(silence(20*time.Millisecond, 24000))
		if e := c.expect("input_audio_buffer.speech_stopped"); e.EndMS != 1000 {
			t.Errorf("speech ended at %d ms, want 1000", e.EndMS)
		}
		c.until("response.done")
	})
}

func TestTheThresholdOfSpeech(t *testing.T) {
	soft := tone(time.Second, 24000, 200, 0) // an RMS of 141
	inBubble(t, func(_ *testing.T, c *call) {
		c.update(`{"turn_detection":{"type":"server_vad","threshold":0.5}}`)
		c.appendSound(soft)
		c.expect("ping")
		c.update(`{"turn_detection":{"type":"server_vad","threshold":0.2}}`)
		c.appendSound(soft)
		c.expect("input_audio_buffer.speech_started")
	})
}

func TestTheAgentSpeaksUpWhenTheUserSaysNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		c.update(`{"turn_detection":{"type":"server_vad","idle_timeout_ms":5000}}`)
		c.send(`{"type":"response.create"}`)
		c.until("response.done")
		for range 2 { // again after each response
			begin := time.Now()
			c.until("input_audio_buffer.timeout_triggered")
			if took := time.Since(begin); took != 5*time.Second {
				t.Errorf("took %v, want 5s", took)
			}
			c.until("response.done")
		}
		// Somebody who speaks is not asked to.
		c.appendSound(speech(time.Second, 24000))
		c.expect("input_audio_buffer.speech_started")
		c.expect("ping")
		c.expect("ping")
	})
	inBubble(t, func(_ *testing.T, c *call) {
		c.update(`{"turn_detection":{"type":"server_vad","idle_timeout_ms":5000}}`)
		c.send(`{"type":"response.create"}`)
		c.until("response.output_audio_transcript.delta")
		c.appendSound(speech(time.Second, 24000)) // interrupts, and goes on
		c.until("response.done")
		c.expect("ping")
	})
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"strings"
	"testing"
)

// update changes the session, and returns what it is then.
func (c *call) update(session string) string {
	c.t.Helper()
	c.send(`{"type":"session.update","session":` + session + `}`)
	return string(c.expect("session.updated").Session)
}

func TestSessionUpdate(t *testing.T) {
	for _, test := range []struct {
		name, update string
		want         map[string]string // fields of the session, or of its audio
	}{
		{"nothing", `{}`, map[string]string{"voice": `"xai_ara"`, "instructions": `""`, "modalities": `["audio"]`, "tools": `[]`, "resumption": `{"enabled":false}`}},
		{"a voice, and fields that it does not know", `{"voice":"rex","type":"realtime","output_modalities":["audio"]}`, map[string]string{"voice": `"rex"`}},
		{"instructions", `{"instructions":"Be brief."}`, map[string]string{"instructions": `"Be brief."`, "voice": `"xai_ara"`}},
		{"modalities", `{"modalities":["text","audio"]}`, map[string]string{"modalities": `["text","audio"]`}},
		{"tools", `{"tools":[{"type":"web_search"},{"type":"function","name":"f","parameters":{"type":"object"}}]}`, map[string]string{
			"tools": `[{"type":"web_search"},{"type":"function","name":"f","parameters":{"type":"object"}}]`,
		}},
		{"a rate of the input", `{"audio":{"input":{"format":{"type":"audio/pcm","rate":16000}}}}`, map[string]string{
			"input": `{"format":{"rate":16000,"type":"audio/pcm"},"transport":"json"}`, "output": `{"format":{"rate":24000,"type":"audio/pcm"},"transport":"json"}`,
		}},
		{"a rate of the output without a type", `{"audio":{"output":{"format":{"rate":48000}}}}`, map[string]string{
			"input": `{"format":{"rate":24000,"type":"audio/pcm"},"transport":"json"}`, "output": `{"format":{"rate":48000,"type":"audio/pcm"},"transport":"json"}`,
		}},
		{"a telephone, that has one rate", `{"audio":{"input":{"format":{"type":"audio/pcmu","rate":24000}},"output":{"format":{"type":"audio/pcma"}}}}`, map[string]string{
			"input": `{"format":{"rate":8000,"type":"audio/pcmu"},"transport":"json"}`, "output": `{"format":{"rate":8000,"type":"audio/pcma"},"transport":"json"}`,
		}},
		{"binary frames", `{"audio":{"input":{"transport":"binary"},"output":{"transport":"binary"}}}`, map[string]string{
			"input": `{"format":{"rate":24000,"type":"audio/pcm"},"transport":"binary"}`, "output": `{"format":{"rate":24000,"type":"audio/pcm"},"transport":"binary"}`,
		}},
		{"a transcription", `{"audio":{"input":{"transcription":{"model":"grok-transcribe","language_hint":"de"}}}}`, map[string]string{
			"input": `{"format":{"rate":24000,"type":"audio/pcm"},"transcription":{"model":"grok-transcribe","language_hint":"de"},"transport":"json"}`,
		}},
		{"resumption", `{"resumption":{"enabled":true}}`, map[string]string{"resumption": `{"enabled":true}`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *call) {
				var got map[string]json.RawMessage
				if err := json.Unmarshal([]byte(c.update(test.update)), &got); err != nil {
					t.Fatal(err)
				}
				var audio map[string]json.RawMessage
				if err := json.Unmarshal(got["audio"], &audio); err != nil {
					t.Fatal(err)
				}
				for field, want := range test.want {
					if value := string(got[field]) + string(audio[field]); value != want {
						t.Errorf("%s is %s, want %s", field, value, want)
					}
				}
			})
		})
	}
}

func TestAnUpdateIsMadeAsAWholeOrNotAtAll(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		c.send(`{"type":"session.update","session":{"voice":"rex","turn_detection":{"type":"server_vad"},"audio":{"output":{"format":{"rate":1}}}}}`)
		c.expect("error")
		if got := c.update(`{}`); !strings.Contains(got, `"voice":"xai_ara"`) || !strings.Contains(got, `"turn_detection":{"type":null}`) {
			t.Errorf("the session is %s", got)
		}
	})
}

func TestTheModelIsXAIsChoice(t *testing.T) {
	for asked, want := range map[string]string{
		"": flagship, "grok-voice-latest": flagship, "gpt-realtime": flagship, "grok-voice-think-fast-1.0": "grok-voice-think-fast-1.0",
	} {
		if settings := defaultSettings(asked); settings.model != want {
			t.Errorf("asked for %q: got %q, want %q", asked, settings.model, want)
		}
	}
}

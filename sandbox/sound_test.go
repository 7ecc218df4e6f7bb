// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// tone returns a tone of this amplitude around an offset; 0 and 0 is silence.
func tone(length time.Duration, rate, amplitude, offset int) []byte {
	var sound []byte
	for i := range int(length * time.Duration(rate) / time.Second) {
		value := float64(amplitude)*math.Sin(2*math.Pi*200*float64(i)/float64(rate)) + float64(offset)
		sound = binary.LittleEndian.AppendUint16(sound, uint16(int16(value))) //nolint:gosec // the bits are those of a signed number
	}
	return sound
}

func speech(length time.Duration, rate int) []byte  { return tone(length, rate, 8000, 0) }
func silence(length time.Duration, rate int) []byte { return tone(length, rate, 0, 0) }

func samplesOf(t *testing.T, sound []byte) []int16 {
	t.Helper()
	samples, err := (&audio{format: format{pcm, 24000}}).decode(sound, "")
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

func TestDetector(t *testing.T) {
	const second, ms = time.Second, time.Millisecond
	for _, test := range []struct {
		name  string
		sound func(rate int) [][]byte
		want  []time.Duration // when speech begins, ends, begins, …
	}{
		{"speech begins and ends", func(rate int) [][]byte {
			return [][]byte{silence(second, rate), speech(2*second, rate), silence(second, rate)}
		}, []time.Duration{second, 3 * second}},
		{"speech goes on", func(rate int) [][]byte {
			return [][]byte{speech(second, rate), silence(480*ms, rate)}
		}, []time.Duration{0}},
		{"silence of 500 ms ends it", func(rate int) [][]byte {
			return [][]byte{speech(second, rate), silence(500*ms, rate)}
		}, []time.Duration{0, second}},
		{"a pause does not end it", func(rate int) [][]byte {
			return [][]byte{speech(second, rate), silence(400*ms, rate), speech(second, rate), silence(second, rate)}
		}, []time.Duration{0, 2400 * ms}},
		{"two turns", func(rate int) [][]byte {
			return [][]byte{speech(second, rate), silence(second, rate), speech(second, rate), silence(second, rate)}
		}, []time.Duration{0, second, 2 * second, 3 * second}},
		{"silence", func(rate int) [][]byte { return [][]byte{silence(5*second, rate)} }, nil},
		{"a click", func(rate int) [][]byte {
			return [][]byte{silence(second, rate), speech(40*ms, rate), silence(second, rate)}
		}, nil},
		{"the noise of a room", func(rate int) [][]byte { return [][]byte{tone(2*second, rate, 600, 0)} }, nil},
		{"a soft voice", func(rate int) [][]byte { return [][]byte{tone(2*second, rate, 800, 0)} }, []time.Duration{0}},
		{"the offset of a cheap microphone", func(rate int) [][]byte { return [][]byte{tone(2*second, rate, 100, 9000)} }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, rate := range []int{8000, 22050, 48000} {
				sound := slices.Concat(test.sound(rate)...)
				// However the sound is cut into pieces.
				for _, piece := range []int{len(sound), 4096, 2 * rate / 10, 2} {
					var got []time.Duration
					d := newDetector(rate, serverVAD)
					for part := range slices.Chunk(sound, piece) {
						d.listen(samplesOf(t, part), func(at time.Duration) { got = append(got, at) })
					}
					if !slices.Equal(got, test.want) {
						t.Errorf("at %d Hz in pieces of %d: got %v, want %v", rate, piece, got, test.want)
					}
				}
			}
		})
	}
}

func TestVoice(t *testing.T) {
	for _, rate := range rates {
		sound := synthesize(3*time.Second, rate)
		if len(sound) != 3*rate {
			t.Errorf("%d Hz: got %d samples for 3 s", rate, len(sound))
		}
		var peak, sum int
		for _, sample := range sound {
			peak = max(peak, int(sample), -int(sample))
			sum += int(sample)
		}
		if peak < 1000 || peak > 8000 {
			t.Errorf("%d Hz: the peak is %d, want it audible and soft", rate, peak)
		}
		if mean := sum / len(sound); mean < -20 || mean > 20 {
			t.Errorf("%d Hz: the mean is %d", rate, mean)
		}
		// The ear that listens to users takes it for speech, all of it.
		var changes []time.Duration
		newDetector(rate, serverVAD).listen(sound, func(at time.Duration) { changes = append(changes, at) })
		if len(changes) != 1 || changes[0] > 100*time.Millisecond {
			t.Errorf("%d Hz: speech changes at %v, want it to begin and not to end", rate, changes)
		}
	}
}

// appendSound sends sound in one event: the pipes of a bubble have no buffers, and
// only one message can be on its way while nobody reads the answers.
func (c *call) appendSound(sound []byte) {
	c.t.Helper()
	c.send(`{"type":"input_audio_buffer.append","audio":"` + base64.StdEncoding.EncodeToString(sound) + `"}`)
}

const (
	listenForSpeech = `{"type":"session.update","session":{"turn_detection":{"type":"server_vad"}}}`
	transcribe      = `{"type":"session.update","session":{"audio":{"input":{"transcription":{"model":"grok-transcribe"}}}}}`
)

func TestSpokenTurn(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		c.send(listenForSpeech)
		c.expect("session.updated")
		c.send(transcribe)
		c.expect("session.updated")
		c.appendSound(slices.Concat(silence(time.Second, 24000), speech(2*time.Second, 24000)))
		started := c.expect("input_audio_buffer.speech_started")
		c.appendSound(silence(time.Second, 24000))
		events := append([]heardEvent{started}, c.until("response.done")...)

		want := append([]string{
			"input_audio_buffer.speech_started",
			"input_audio_buffer.speech_stopped",
			"input_audio_buffer.committed",
			"conversation.item.added",
			"conversation.item.input_audio_transcription.updated",
			"conversation.item.input_audio_transcription.updated",
			"conversation.item.input_audio_transcription.updated",
			"conversation.item.input_audio_transcription.completed",
			"conversation.item.input_audio_transcription.completed",
		}, replyKinds...)
		if got := kinds(events); !slices.Equal(got, want) {
			t.Fatalf("got %q", got)
		}
		if events[0].StartMS != 1000 || events[1].EndMS != 3000 {
			t.Errorf("speech from %d to %d ms, want from 1000 to 3000", events[0].StartMS, events[1].EndMS)
		}
		item := events[3].Item.ID
		for _, e := range []heardEvent{events[0], events[1], events[2], events[4], events[5], events[6], events[7], events[8]} {
			if e.ItemID != item || item == "" {
				t.Errorf("%s is about item %q, want %q", e.Type, e.ItemID, item)
			}
		}
		// Each transcript repeats the one before it.
		for i := 5; i <= 8; i++ {
			if !strings.HasPrefix(events[i].Transcript, events[i-1].Transcript) {
				t.Errorf("%q follows on %q", events[i].Transcript, events[i-1].Transcript)
			}
		}
		if events[4].Transcript == events[5].Transcript || events[7].Transcript != "(I spoke for 2.0 seconds.)" {
			t.Errorf("the transcripts are %q to %q", events[4].Transcript, events[7].Transcript)
		}
		said := events[len(events)-1-4].Transcript
		if !strings.HasPrefix(said, "I heard you speak for 2.0 seconds.") {
			t.Errorf("said %q", said)
		}

		c.send(`{"type":"input_audio_buffer.commit"}`)
		if code := c.expect("error").Error.Code; code != "commit_not_allowed" {
			t.Errorf("got error %q", code)
		}
	})
}

func TestBargingIn(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		c.send(listenForSpeech)
		c.send(`{"type":"response.create"}`)
		c.until("response.output_audio_transcript.delta")
		c.appendSound(speech(500*time.Millisecond, 24000)) // while the reply goes on
		c.until("input_audio_buffer.speech_started")
		events := c.until("response.done")
		mustBeCancelled(t, events)

		c.appendSound(silence(time.Second, 24000))
		c.until("input_audio_buffer.speech_stopped")
		events = c.until("response.done")
		if status := events[len(events)-1].Response.Status; status != "completed" {
			t.Errorf("the answer to the interruption ended as %q", status)
		}
	})
}

func TestAResponseAskedForWhileTheUserSpeaksGivesWay(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		c.send(listenForSpeech)
		c.appendSound(speech(time.Second, 24000))
		c.until("input_audio_buffer.speech_started")
		c.send(`{"type":"response.create"}`)
		c.until("response.output_audio_transcript.delta")
		c.appendSound(silence(time.Second, 24000))
		mustBeCancelled(t, c.until("response.done"))
		events := c.until("response.done")
		if status := events[len(events)-1].Response.Status; status != "completed" {
			t.Errorf("the answer ended as %q", status)
		}
	})
}

func TestTranscriptsWhileTheUserSpeaksAreForGrokTranscribeOnly(t *testing.T) {
	for name, transcription := range map[string]string{"another model": `{"model":"whisper-1"}`, "no model": `{}`, "none": `null`} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *call) {
				c.send(transcribe)
				c.expect("session.updated")
				c.send(`{"type":"session.update","session":{"audio":{"input":{"transcription":` + transcription + `}}}}`)
				c.expect("session.updated")
				c.appendSound(speech(time.Second, 24000))
				c.send(`{"type":"input_audio_buffer.commit"}`)
				c.until("conversation.item.added")
				for range 2 {
					if got := c.expect("conversation.item.input_audio_transcription.completed").Transcript; got != "(I spoke for 1.0 seconds.)" {
						t.Errorf("got transcript %q", got)
					}
				}
			})
		})
	}
}

func TestCommittedTurn(t *testing.T) {
	inBubble(t, func(t *testing.T, c *call) {
		c.appendSound(speech(1500*time.Millisecond, 24000))
		c.send(`{"type":"input_audio_buffer.commit"}`)
		committed := c.expect("input_audio_buffer.committed")
		if item := c.expect("conversation.item.added").Item; item.ID != committed.ItemID || item.Role != "user" {
			t.Errorf("got item %+v, want id %s", item, committed.ItemID)
		}
		for range 2 {
			if got := c.expect("conversation.item.input_audio_transcription.completed").Transcript; got != "(I spoke for 1.5 seconds.)" {
				t.Errorf("got transcript %q", got)
			}
		}
		c.expect("ping") // nobody has asked for a response
		c.send(`{"type":"response.create"}`)
		c.until("response.done")

		c.send(`{"type":"input_audio_buffer.commit"}`)
		if code := c.expect("error").Error.Code; code != "input_audio_buffer_commit_empty" {
			t.Errorf("after a commit: got error %q", code)
		}
		for _, forget := range []string{
			`{"type":"input_audio_buffer.clear"}`,
			`{"type":"session.update","session":{"audio":{"input":{"format":{"rate":16000}}}}}`,
		} {
			c.appendSound(speech(time.Second, 24000))
			c.send(forget)
			c.next()
			c.send(`{"type":"input_audio_buffer.commit"}`)
			if code := c.expect("error").Error.Code; code != "input_audio_buffer_commit_empty" {
				t.Errorf("after %s: got error %q", forget, code)
			}
		}
	})
}

func TestClearingWhileTheUserSpeaks(t *testing.T) {
	inBubble(t, func(_ *testing.T, c *call) {
		c.send(listenForSpeech)
		c.expect("session.updated")
		c.appendSound(speech(time.Second, 24000))
		c.expect("input_audio_buffer.speech_started")
		c.send(`{"type":"input_audio_buffer.clear"}`)
		c.expect("input_audio_buffer.cleared")
		c.appendSound(silence(time.Second, 24000))
		c.expect("ping") // and no speech_stopped
	})
}

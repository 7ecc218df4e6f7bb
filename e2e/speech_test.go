// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/binary"
	"math"
)

// When somebody speaks in the microphone, in seconds. Before the first time a slow
// machine can connect. The second time is in the middle of the sandbox's answer to
// the first, so it interrupts it; the answer to the second has time to end before the
// microphone begins anew.
var spoken = [][2]float64{{2, 3.2}, {5, 6.2}}

const (
	microphoneRate = 48000
	microphoneLoop = 16 // seconds
)

// speech returns a WAV file with something that Chromium's noise suppression and
// the sandbox take for a voice: syllables of a buzz, and silence around them.
func speech() []byte {
	samples := make([]int16, microphoneLoop*microphoneRate)
	for _, span := range spoken {
		for i := int(span[0] * microphoneRate); i < int(span[1]*microphoneRate); i++ {
			at := float64(i)/microphoneRate - span[0]
			syllable := math.Abs(math.Sin(math.Pi * at / 0.2))
			pitch := 150 + 15*math.Sin(2*math.Pi*at/0.9)
			sum := 0.0
			for k := 1.0; k <= 12; k++ {
				sum += math.Sin(2*math.Pi*k*pitch*at) / k
			}
			samples[i] = int16(0.25 * syllable * sum * math.MaxInt16)
		}
	}
	size := uint32(2 * len(samples)) //nolint:gosec // far below 4 GiB
	var wav bytes.Buffer
	for _, part := range []any{
		[]byte("RIFF"), 36 + size, []byte("WAVEfmt "), uint32(16),
		uint16(1), uint16(1), uint32(microphoneRate), uint32(2 * microphoneRate), uint16(2), uint16(16),
		[]byte("data"), size, samples,
	} {
		if err := binary.Write(&wav, binary.LittleEndian, part); err != nil {
			panic(err) // a buffer takes everything
		}
	}
	return wav.Bytes()
}

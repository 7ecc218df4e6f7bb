// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import "math/bits"

// The two codes of ITU-T G.711 that telephones speak: a byte for each sample, with
// a sign, the number of an octave and the place in it.

const (
	muLawBias = 33 // of the 14 bits that the law is about
	muLawMax  = 8158
)

func expand(sound []byte, expandOne func(byte) int16) []int16 {
	samples := make([]int16, 0, len(sound))
	for _, code := range sound {
		samples = append(samples, expandOne(code))
	}
	return samples
}

func compressMuLaw(sample int16) byte {
	value, sign := int(sample)>>2, byte(0x80)
	if value < 0 {
		value, sign = -value, 0
	}
	value = min(value, muLawMax) + muLawBias
	octave := bits.Len(uint(value)) - 6
	return sign | ^(byte(octave)<<4|byte(value>>(octave+1))&0x0f)&0x7f //nolint:gosec // 3 bits and 4
}

func expandMuLaw(code byte) int16 {
	code = ^code
	octave, place := int(code>>4&7), int(code&0x0f)
	value := ((place<<1+muLawBias)<<octave - muLawBias) << 2
	if code&0x80 != 0 {
		value = -value
	}
	return int16(value) //nolint:gosec // at most 32124
}

// aLawToggle is applied to each second bit, so that silence is no row of zeros.
const aLawToggle = 0x55

func compressALaw(sample int16) byte {
	value, sign := int(sample)>>3, byte(0x80) // 13 bits, rounded down
	if value < 0 {
		value, sign = ^value, 0
	}
	if value < 32 {
		return (sign | byte(value>>1)) ^ aLawToggle //nolint:gosec // 4 bits
	}
	octave := bits.Len(uint(value)) - 5
	return (sign | byte(octave)<<4 | byte(value>>octave)&0x0f) ^ aLawToggle //nolint:gosec // 3 bits and 4
}

func expandALaw(code byte) int16 {
	code ^= aLawToggle
	octave, place := int(code>>4&7), int(code&0x0f)
	value := place<<1 + 1
	if octave > 0 {
		value = (value + 32) << (octave - 1)
	}
	value <<= 3
	if code&0x80 == 0 {
		value = -value
	}
	return int16(value)
}

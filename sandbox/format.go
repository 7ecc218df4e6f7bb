// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

const (
	pcm  = "audio/pcm"
	pcmu = "audio/pcmu"
	pcma = "audio/pcma"

	telephoneRate = 8000

	transportJSON   = "json"
	transportBinary = "binary"
)

// rates are all divisible by windowsPerSecond and chunksPerSecond.
var rates = []int{8000, 16000, 22050, 24000, 32000, 44100, 48000}

// audio is how sound travels in one direction.
type audio struct {
	format    format
	transport string
}

type format struct {
	kind string
	rate int
}

// newAudio is audio as a client writes it.
type newAudio struct {
	Format struct {
		Type *string `json:"type"`
		Rate *int    `json:"rate"`
	} `json:"format"`
	Transport *string `json:"transport"`
}

// set takes over what is given in the field param.
func (a *audio) set(given newAudio, param string) error {
	if given.Transport != nil {
		if *given.Transport != transportJSON && *given.Transport != transportBinary {
			return invalid(param+".transport", `The transport is "json" or "binary".`)
		}
		a.transport = *given.Transport
	}
	if kind := given.Format.Type; kind != nil && *kind != a.format.kind {
		switch *kind {
		case pcm:
			a.format = format{pcm, 24000}
		case pcmu, pcma:
			a.format = format{*kind, telephoneRate}
		default:
			return invalid(param+".format.type", "The sandbox knows the formats audio/pcm, audio/pcmu and audio/pcma.")
		}
	}
	if rate := given.Format.Rate; rate != nil && a.format.kind == pcm { // the others have none
		if !slices.Contains(rates, *rate) {
			return invalid(param+".format.rate", fmt.Sprintf("xAI knows no rate of %d Hz.", *rate))
		}
		a.format.rate = *rate
	}
	return nil
}

func (a *audio) object() event {
	return event{"format": event{"type": a.format.kind, "rate": a.format.rate}, "transport": a.transport}
}

func (a *audio) duration(samples int) time.Duration {
	return time.Duration(samples) * time.Second / time.Duration(a.format.rate)
}

// decode returns the samples of sound that came in the field param.
func (a *audio) decode(sound []byte, param string) ([]int16, error) {
	switch a.format.kind {
	case pcmu:
		return expand(sound, expandMuLaw), nil
	case pcma:
		return expand(sound, expandALaw), nil
	}
	if len(sound)%2 != 0 {
		return nil, invalid(param, "The sound ends in the middle of a sample of 16 bits.")
	}
	samples := make([]int16, 0, len(sound)/2)
	for ; len(sound) > 0; sound = sound[2:] {
		samples = append(samples, int16(binary.LittleEndian.Uint16(sound))) //nolint:gosec // the bits are those of a signed number
	}
	return samples, nil
}

// encode returns the sound of samples.
func (a *audio) encode(samples []int16) []byte {
	var sound []byte
	for _, sample := range samples {
		switch a.format.kind {
		case pcmu:
			sound = append(sound, compressMuLaw(sample))
		case pcma:
			sound = append(sound, compressALaw(sample))
		default:
			sound = binary.LittleEndian.AppendUint16(sound, uint16(sample)) //nolint:gosec // the bits are those of a signed number
		}
	}
	return sound
}

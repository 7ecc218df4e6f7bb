// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/binary"
	"time"
)

const (
	windowsPerSecond = 50

	// A window is loud when its RMS, of at most 32768, is above this: louder than
	// a quiet room and softer than somebody who speaks into a microphone.
	loudRMS = 500

	// A click does not start speech, and the pause between two words does not
	// end it.
	windowsToStart = 3                    // 60 ms
	windowsToStop  = windowsPerSecond / 2 // 500 ms
)

// detector finds out by the loudness of a sound when somebody speaks. It measures
// time in samples, since a client may send faster or slower than real time.
type detector struct {
	speaking bool
	started  time.Duration // when the latest speech began

	window       int // in samples
	windows      int // so far
	opposite     int // in a row, that contradict speaking
	count        int // samples in this window
	sum, squares int64
}

func newDetector(rate int) *detector {
	return &detector{window: rate / windowsPerSecond}
}

// listen takes 16-bit samples, and calls changed after each change of speaking
// with the time of the sound at which it took place.
func (d *detector) listen(sound []byte, changed func(at time.Duration)) {
	for ; len(sound) >= 2; sound = sound[2:] {
		sample := int64(int16(binary.LittleEndian.Uint16(sound))) //nolint:gosec // the bits are those of a signed number
		d.count++
		d.sum += sample
		d.squares += sample * sample
		if d.count == d.window && d.endWindow() {
			changed(d.changedAt())
		}
	}
}

// endWindow reports whether this window makes the difference.
func (d *detector) endWindow() bool {
	// The variance, so that a cheap microphone's constant offset is no sound.
	n := int64(d.count)
	loud := d.squares*n-d.sum*d.sum > loudRMS*loudRMS*n*n
	d.count, d.sum, d.squares = 0, 0, 0
	d.windows++

	if loud == d.speaking {
		d.opposite = 0
		return false
	}
	d.opposite++
	if !d.speaking && d.opposite < windowsToStart || d.speaking && d.opposite < windowsToStop {
		return false
	}
	d.speaking = loud
	if loud {
		d.started = d.changedAt()
	}
	return true
}

// changedAt returns when the run of windows began that contradicted speaking.
func (d *detector) changedAt() time.Duration {
	return time.Duration(d.windows-d.opposite) * time.Second / windowsPerSecond
}

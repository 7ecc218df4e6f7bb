// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import "time"

const (
	windowsPerSecond = 50

	// A window is loud when its RMS, of at most 32768, is above this times the
	// threshold: at its default louder than a quiet room and softer than somebody
	// who speaks into a microphone.
	loudRMS = 600

	windowsToStart = 3 // a click of 60 ms does not start speech
)

// detector finds out by the loudness of a sound when somebody speaks. It measures
// time in samples, since a client may send faster or slower than real time.
type detector struct {
	loud   float64 // the mean of the squares above which a window is loud
	toStop int     // windows of silence that end speech

	speaking bool
	started  time.Duration // when the latest speech began

	window       int // in samples
	windows      int // so far
	opposite     int // in a row, that contradict speaking
	count        int // samples in this window
	sum, squares int64
}

func newDetector(rate int, by turnDetection) *detector {
	rms := by.threshold * loudRMS
	return &detector{
		loud:   rms * rms,
		toStop: max(1, int(by.silence*windowsPerSecond/time.Second)),
		window: rate / windowsPerSecond,
	}
}

// listen takes samples, and calls changed after each change of speaking with the
// time of the sound at which it took place.
func (d *detector) listen(samples []int16, changed func(at time.Duration)) {
	for _, sample := range samples {
		d.count++
		d.sum += int64(sample)
		d.squares += int64(sample) * int64(sample)
		if d.count == d.window && d.endWindow() {
			changed(d.changedAt())
		}
	}
}

// endWindow reports whether this window makes the difference.
func (d *detector) endWindow() bool {
	// The variance, so that a cheap microphone's constant offset is no sound.
	n := int64(d.count)
	loud := float64(d.squares*n-d.sum*d.sum) > d.loud*float64(n*n)
	d.count, d.sum, d.squares = 0, 0, 0
	d.windows++

	if loud == d.speaking {
		d.opposite = 0
		return false
	}
	d.opposite++
	if !d.speaking && d.opposite < windowsToStart || d.speaking && d.opposite < d.toStop {
		return false
	}
	d.speaking = loud
	if loud {
		d.started = d.changedAt()
	}
	return true
}

// now returns how much sound there was so far.
func (d *detector) now() time.Duration {
	return time.Duration(d.windows) * time.Second / windowsPerSecond
}

// changedAt returns when the run of windows began that contradicted speaking.
func (d *detector) changedAt() time.Duration {
	return time.Duration(d.windows-d.opposite) * time.Second / windowsPerSecond
}

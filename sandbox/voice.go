// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"math"
	"time"
)

const (
	pitch     = 165.0 // Hz, between what is usual for men and for women
	harmonics = 7
	syllable  = 0.19 // seconds
	phrase    = 7    // syllables, of which the last is a pause
	volume    = 0.12 // of full scale
)

// vowels are the lower two formants, in Hz, that make a, i, o, e and u different.
var vowels = [...][2]float64{{730, 1090}, {270, 2290}, {570, 840}, {530, 1840}, {300, 870}}

// synthesize hums something of this length in which a listener recognizes the
// melody of speech: syllables with changing vowels, phrases with falling pitch.
func synthesize(length time.Duration, rate int) []int16 {
	samples := make([]int16, int(length.Seconds()*float64(rate)))
	phase := 0.0
	for i := range samples {
		number, within := math.Modf(float64(i) / float64(rate) / syllable)
		position := math.Mod(number, phrase)

		// The pitch falls over a phrase, and rises and falls in each syllable.
		frequency := pitch * (1.1 - 0.03*(position+within) + 0.06*math.Sin(math.Pi*within))
		phase += 2 * math.Pi * frequency / float64(rate)

		value := 0.0
		if position != phrase-1 {
			loudness := math.Sqrt(math.Sin(math.Pi * within)) // without a click at either end
			value = volume * loudness * voiced(phase, frequency, vowels[int(number*3)%len(vowels)])
		}
		samples[i] = int16(value * math.MaxInt16)
	}
	return samples
}

// voiced returns what a throat of this shape makes of a hum, from about -1 to 1.
func voiced(phase, frequency float64, vowel [2]float64) float64 {
	sum, weights := 0.0, 0.0
	for k := 1.0; k <= harmonics; k++ {
		near, far := (k*frequency-vowel[0])/150, (k*frequency-vowel[1])/250
		weight := (0.2 + 1/(1+near*near) + 0.4/(1+far*far)) / k
		sum += weight * math.Sin(k*phase)
		weights += weight
	}
	return sum / weights
}

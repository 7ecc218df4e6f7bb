// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Runs on the browser's audio thread: turns what the microphone hears into 16-bit samples at the rate
// that the server takes, and hands them to the page 40 ms at a time.

class Capture extends AudioWorkletProcessor {
  #step; // how many samples of the browser make one of ours
  #due = 0; // reaches step when enough of the browser's samples have come
  #sum = 0;
  #count = 0;
  #chunk;
  #filled = 0;
  #power = 0;

  constructor({ processorOptions: { rate } }) {
    super();
    this.#step = sampleRate / rate; // 1 wherever the browser gave the context the rate it was asked for
    this.#chunk = new Int16Array(rate * 0.04);
  }

  process([[samples]]) {
    // Without a sample the microphone is gone. The page hears of that from the track itself.
    for (const sample of samples ?? []) {
      this.#sum += sample;
      this.#count++;
      if (++this.#due < this.#step) continue;
      this.#push(this.#sum / this.#count); // the mean keeps the worst of aliasing out
      this.#due -= this.#step;
      this.#sum = this.#count = 0;
    }
    return true;
  }

  #push(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.#power += clipped * clipped;
    this.#chunk[this.#filled++] = clipped * 0x7fff;
    if (this.#filled < this.#chunk.length) return;
    const pcm = this.#chunk.slice().buffer; // little-endian, as every browser's machine is
    this.port.postMessage({ pcm, loudness: Math.sqrt(this.#power / this.#filled) }, [pcm]);
    this.#filled = 0;
    this.#power = 0;
  }
}

registerProcessor("capture", Capture);

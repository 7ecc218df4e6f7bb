// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// The agent's voice. Chunks of 16-bit PCM arrive faster than they play, so each is scheduled after the
// one before, and what is scheduled can be dropped.

import { started } from "./sound.js";

export const PLAYBACK_RATE = 24_000; // Hz

export class Playback {
  #context = new AudioContext({ sampleRate: PLAYBACK_RATE }); // saves us from resampling
  #meter = this.#context.createAnalyser();
  #volume = this.#context.createGain();
  #waves = new Float32Array(256);
  #queue = new Set();
  #end = 0; // when the last chunk will have been played; no event of the server tells
  #stuck = false; // whether to wait for the first sound no longer

  constructor() {
    this.#meter.fftSize = this.#waves.length;
    this.#meter.connect(this.#volume).connect(this.#context.destination);
  }

  /** Resolves when there is sound; rejected with a Failure on a machine without an output for it. */
  async start() {
    try {
      await started(this.#context);
    } catch (error) {
      this.#stuck = true;
      throw error;
    }
  }

  play(base64) {
    if (this.#stuck && !this.#running) return; // nothing would ever take it out of the queue
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const samples = new Int16Array(bytes.buffer, 0, bytes.length >> 1); // little-endian, as every browser's machine is
    if (samples.length === 0) return;
    const buffer = this.#context.createBuffer(1, samples.length, PLAYBACK_RATE);
    buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / 0x8000), 0);

    const source = this.#context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#meter);
    source.onended = () => this.#queue.delete(source);
    this.#queue.add(source);
    // A little head start after silence, so that the next chunk arrives before this one ends.
    const start = this.playing ? this.#end : this.#context.currentTime + 0.08;
    source.start(start);
    this.#end = start + buffer.duration;
  }

  /** Falls silent at once, and forgets what has not been played yet. */
  drop() {
    for (const source of this.#queue) source.stop();
    this.#queue.clear();
    this.#end = 0;
  }

  get playing() {
    return this.#running && this.#context.currentTime < this.#end;
  }

  get #running() {
    return this.#context.state === "running";
  }

  /** How loud it is at this moment: the root mean square, of at most 1. Still moves when muted. */
  get loudness() {
    this.#meter.getFloatTimeDomainData(this.#waves);
    const power = this.#waves.reduce((sum, value) => sum + value * value, 0) / this.#waves.length;
    return Math.sqrt(power);
  }

  set muted(muted) {
    this.#volume.gain.value = muted ? 0 : 1;
  }

  close() {
    this.drop();
    this.#context.close();
  }
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// What a microphone would send: 16 bits, 24000 times a second.
const RATE = 24_000;

/** Somebody who speaks for this long, as far as loudness tells. */
export const speech = (seconds) => Int16Array.from({ length: seconds * RATE }, (_, i) => 8000 * Math.sin(i / 20));

export const silence = (seconds) => new Int16Array(seconds * RATE);

/** The pieces in which a microphone delivers sound, 100 ms each. */
export function* pieces(sound) {
  for (let i = 0; i < sound.length; i += RATE / 10) yield sound.slice(i, i + RATE / 10);
}

export const base64 = (sound) => Buffer.from(sound.buffer, sound.byteOffset, sound.byteLength).toString("base64");

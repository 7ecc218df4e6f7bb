// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// What the microphone and the agent's voice have in common.

import { Failure } from "./failure.js";

const START_TIMEOUT = 3_000; // ms

/**
 * Resolves when an AudioContext runs. Some browsers start it suspended even after a click, and in
 * Firefox one that has no output for sound waits for it forever.
 */
export async function started(context) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(noOutput()), START_TIMEOUT);
  });
  try {
    await Promise.race([context.resume(), late]);
  } finally {
    clearTimeout(timer);
  }
}

const noOutput = () =>
  new Failure("There is no output for sound", {
    advice: "Connect loudspeakers or headphones and start again, or go on by typing: the agent’s words are written down here.",
  });

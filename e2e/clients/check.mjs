// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

/** Resolves when check returns something, and fails if that takes too long. */
export async function until(what, check) {
  for (const end = Date.now() + 20_000; Date.now() < end; await new Promise((wake) => setTimeout(wake, 20))) {
    const result = await check();
    if (result) return result;
  }
  throw new Error(`waited too long for ${what}`);
}

/** Says that a step is over, for whoever looks at a test that failed. */
export const step = (name) => console.log(`${name}: ok`);

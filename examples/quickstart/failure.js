// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

/** Something went wrong: a title, and what to do about it. Text in `backticks` is shown as code. */
export class Failure extends Error {
  constructor(title, advice, { retryAfter = 0, anotherToken = false } = {}) {
    super(title);
    this.advice = advice;
    this.retryAfter = retryAfter; // seconds to wait before trying again
    this.anotherToken = anotherToken; // worth an immediate attempt with a new token
    this.status = 0; // of the HTTP response, if there was one
  }
}

export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

/** Something went wrong, in words for the visitor. It has the fields that the page shows of a TokenError. */
export class Failure extends Error {
  name = "Failure";
  retryAfter = 0;

  constructor(message, { advice = "", hint = "", cause } = {}) {
    super(message, { cause });
    this.advice = advice; // what the visitor can do next
    this.hint = hint; // what whoever runs the site can do
  }
}

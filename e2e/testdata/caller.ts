// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// A caller of token.js that TypeScript checks as strictly as it can. See TestTokenTypes.

import { createTokenSource, fetchToken, Token, TokenError, type FetchOptions, type TokenSource } from "./token.js";

const options: FetchOptions = { credentials: "include", timeout: 5_000, headers: { Authorization: "Bearer mine" } };
const source: TokenSource = createTokenSource(new URL("https://api.example.com/session"), options);

export async function talk(button: HTMLElement, signal: AbortSignal): Promise<WebSocket | number> {
  button.addEventListener("pointerover", source.prepare);
  try {
    const token: Token = await source.take({ signal });
    const left: number = Math.min(token.remaining, token.expiresAt);
    console.info(left, token.value.length);
    return new WebSocket("wss://api.x.ai/v1/realtime", token.protocols);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    const words: string = [error.message, error.advice, error.hint].join(" ");
    console.warn(words, error.cause);
    return error.status + error.retryAfter;
  }
}

export const tokens: Promise<Token>[] = [
  fetchToken(),
  fetchToken("/session", { signal: new AbortController().signal }),
  createTokenSource().take(),
];

// @ts-expect-error A timeout is a number.
void fetchToken("/session", { timeout: "5s" });
// @ts-expect-error There is no such option.
void fetchToken("/session", { retries: 2 });
// @ts-expect-error A token is not its value.
export const value: string = await fetchToken();
// @ts-expect-error prepare() has no token.
export const prepared: Token = await source.prepare();

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Gets ephemeral xAI tokens from Caddy's xai_ephemeral_token. It needs no other file and no page:
// copy it into any project for browsers.
//
//   import { fetchToken, TokenError } from "./token.js";
//
//   try {
//     const token = await fetchToken("/session");
//     const socket = new WebSocket("wss://api.x.ai/v1/realtime?model=grok-voice-latest", token.protocols);
//   } catch (error) {
//     if (error instanceof TokenError) console.warn(error.message, error.advice, error.retryAfter);
//   }
//
// A token opens one session: fetch a new one for every attempt to connect, retries included.

const TIMEOUT = 15_000; // ms; Caddy itself gives up after 10 s unless configured otherwise

/** A token, and how long it can still open a session. */
export class Token {
  #expires; // on the clock of performance.now(), which nobody can set wrong

  constructor(value, expiresAt, lifetime) {
    /** The secret itself: keep it out of logs and out of the page. */
    this.value = value;
    /** When it expires, in Unix seconds by the server's clock; NaN if the server did not say. */
    this.expiresAt = expiresAt;
    this.#expires = performance.now() + lifetime * 1000;
  }

  /** What WebSocket takes as its second argument: a browser cannot set the headers of a WebSocket. */
  get protocols() {
    return ["xai-client-secret." + this.value];
  }

  /** Seconds left to open a session, 0 when it has expired; NaN if the server did not say. */
  get remaining() {
    return Math.max(0, (this.#expires - performance.now()) / 1000);
  }
}

/** Why there is no token, in words for whoever reads the page. */
export class TokenError extends Error {
  name = "TokenError";

  constructor(message, { advice = "", hint = "", status = 0, retryAfter = 0, cause } = {}) {
    super(message, { cause });
    /** What the visitor can do next. */
    this.advice = advice;
    /** What whoever runs the server can do; empty where that is nothing. */
    this.hint = hint;
    /** The status of the answer, 0 if there was none. */
    this.status = status;
    /** Seconds to wait before another attempt; 0 if the server asked for none. */
    this.retryAfter = retryAfter;
  }
}

/**
 * Fetches one token.
 *
 * @param {string|URL} url where xai_ephemeral_token answers
 * @param {object} [options]
 * @param {AbortSignal} [options.signal] gives up; the promise is then rejected with its reason
 * @param {number} [options.timeout] milliseconds until it gives up by itself
 * @param {RequestCredentials} [options.credentials] "include" for an endpoint on another origin that wants cookies or a password
 * @param {HeadersInit} [options.headers] such as an Authorization of your own
 * @returns {Promise<Token>} rejected with a TokenError if the server gives none
 */
export async function fetchToken(url = "/session", { signal, timeout = TIMEOUT, credentials = "same-origin", headers } = {}) {
  const clock = AbortSignal.timeout(timeout);
  let response, body;
  try {
    response = await fetch(url, {
      method: "POST",
      redirect: "manual", // a redirect leads to a sign-in page, not to a token
      signal: signal ? AbortSignal.any([signal, clock]) : clock,
      credentials,
      headers,
    });
    body = await response.text();
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw clock.aborted ? tooSlow(timeout, error) : unreachable(url, error);
  }
  if (!response.ok) throw refusal(response);

  let answer;
  try {
    answer = JSON.parse(body);
  } catch (cause) {
    // Caddy answers 200 with an empty body where no directive matches, and a single-page app's
    // fallback answers with HTML. Either way there is no token handler at this path.
    throw nothingThere(response.status, cause);
  }
  // The value has to fit in a Sec-WebSocket-Protocol header, or the browser refuses to send it.
  if (typeof answer?.value !== "string" || !/^[\w.~!#$%&'*+^`|-]+$/.test(answer.value)) {
    throw new TokenError("The server’s answer holds no usable token", {
      advice: "Try again later.",
      hint: "If you reshape the answer in the Caddyfile, keep its field value.",
      status: response.status,
    });
  }
  // Seconds, but some deployments answer in milliseconds.
  const expiresAt = Number(answer.expires_at > 1e12 ? answer.expires_at / 1000 : answer.expires_at);
  // Compared with the server's clock where it can be read, because the visitor's may be wrong.
  const now = Date.parse(response.headers.get("Date")) || Date.now();
  return new Token(answer.value, expiresAt, expiresAt - now / 1000);
}

const tooSlow = (timeout, cause) =>
  new TokenError("The server did not answer in time", {
    advice: "Try again. If it stays like this, come back later.",
    hint: `There was no answer within ${timeout / 1000} s. Caddy’s log says how long xAI took.`,
    cause,
  });

/** A browser does not tell a page whether the network failed or the server did not trust its origin. */
function unreachable(url, cause) {
  const elsewhere = new URL(url, location.href).origin !== location.origin;
  return new TokenError("The server cannot be reached", {
    advice: "Check your network, then try again.",
    hint: elsewhere
      ? `Is Caddy running? If it is, add ${location.origin} to trusted_origins in its Caddyfile, and the endpoint’s origin to connect-src in this site’s Content-Security-Policy.`
      : "Is Caddy still running?",
    cause,
  });
}

const nothingThere = (status, cause) =>
  new TokenError("Nothing hands out tokens here", {
    advice: "Try again later.",
    hint: "Is the line xai_ephemeral_token /session in this site’s block of the Caddyfile, and has Caddy been reloaded?",
    status,
    cause,
  });

/** What a status means. Caddy's error answers have no body unless handle_errors writes one. */
function refusal(response) {
  const { status, headers } = response;
  const retryAfter = secondsUntil(headers.get("Retry-After"));
  const wait = retryAfter ? `Wait ${inWords(retryAfter)}, then try again.` : "Wait a moment, then try again.";
  const error = (message, advice, hint = "") => new TokenError(message, { advice, hint, status, retryAfter });

  if (response.type === "opaqueredirect") return error("You need to sign in", "Sign in, then come back and try again.");
  switch (status) {
    case 401:
      return error("You need to sign in", "Sign in, then try again.");
    case 403:
      return error("You are not allowed to start a conversation", "If you think you should be, ask whoever runs this site.",
        `Either the visitor lacks permission, or Caddy does not trust the origin ${location.origin}: then add it to trusted_origins in the Caddyfile.`);
    case 404:
      return nothingThere(status);
    case 405:
      return error("The server does not take this request", "Try again later.",
        "POST is not allowed at this path. Does methods in the Caddyfile leave it out, or does a file server answer in place of xai_ephemeral_token?");
    case 429:
      return error("Too many conversations in a short time", wait);
    case 500:
      return error("The server is not set up yet", "Try again later.",
        "It has no usable API key. Set XAI_API_KEY in Caddy’s environment, or api_key in the Caddyfile, and restart Caddy. Its log says what is wrong.");
    case 502:
      return error("The voice service is not available", "Try again in a moment.",
        "xAI refused the API key or the request, or could not be reached. Caddy’s log has the reason.");
    case 503:
      return error("The voice service is busy", wait, "xAI limits how many tokens this server may have just now.");
    case 504:
      return error("The voice service did not answer in time", "Try again. If it stays like this, come back later.");
    default:
      return error(`The server answered with status ${status}`, wait, "That is not an answer that xai_ephemeral_token gives. Caddy’s log may say more.");
  }
}

/** Retry-After holds seconds or a date. */
function secondsUntil(retryAfter) {
  if (!retryAfter) return 0;
  const seconds = /^\d+$/.test(retryAfter) ? Number(retryAfter) : (Date.parse(retryAfter) - Date.now()) / 1000;
  return Math.max(0, Math.ceil(seconds) || 0);
}

function inWords(seconds) {
  if (seconds < 100) return seconds === 1 ? "1 second" : `${seconds} seconds`;
  return `${Math.ceil(seconds / 60)} minutes`;
}

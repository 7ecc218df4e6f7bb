// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Gets ephemeral xAI tokens from Caddy's xai_ephemeral_token. It needs no other file and no page:
// copy it into any project for browsers, workers, Node, or whatever else has fetch.
//
//   import { fetchToken, TokenError } from "./token.js";
//
//   try {
//     const token = await fetchToken("/session");
//     const socket = new WebSocket("wss://api.x.ai/v1/realtime?model=grok-voice-latest", token.protocols);
//   } catch (error) {
//     if (error instanceof TokenError) console.warn(error.message, error.advice, error.retryAfter);
//     else throw error;
//   }
//
// A token opens one session: fetch a new one for every attempt to connect, retries included.
//
// Where the click should not wait for xAI, createTokenSource() has a token ready before it comes:
//
//   const source = createTokenSource("/session");
//   button.addEventListener("pointerover", source.prepare);
//   button.addEventListener("click", async () => {
//     const token = await source.take();
//   });

const TIMEOUT = 15_000; // ms; Caddy itself gives up after 10 s unless configured otherwise
const LONGEST_TIMEOUT = 2 ** 31 - 1; // ms; a timer takes more than that for nothing
const MARGIN = 30; // seconds that a token prepared earlier must have left, for a connection that is slow

/**
 * @typedef {object} FetchOptions
 * @property {AbortSignal | undefined} [signal] gives up; the promise is then rejected with its reason
 * @property {number | undefined} [timeout] milliseconds until it gives up by itself
 * @property {RequestCredentials | undefined} [credentials] "include" for an endpoint on another origin that wants cookies or a password
 * @property {HeadersInit | undefined} [headers] such as an Authorization of your own
 */

/**
 * @typedef {object} TokenSource
 * @property {() => Promise<void>} prepare fetches one token ahead, unless there is one; never throws, and the promise is never rejected
 * @property {(options?: {signal?: AbortSignal | undefined}) => Promise<Token>} take resolves with a token that nobody else was given; rejected with a
 *   TokenError if the server gives none, or with the signal's reason
 */

/** A token, and how long it can still open a session. */
export class Token {
  #lifetime; // seconds
  #monotonic = performance.now(); // which nobody can set wrong, but stands still while some machines sleep
  #wall = Date.now();

  /**
   * @param {string} value
   * @param {number} expiresAt
   * @param {number} lifetime
   */
  constructor(value, expiresAt, lifetime) {
    /** The secret itself: keep it out of logs and out of the page. */
    this.value = value;
    /** When it expires, in Unix seconds by the server's clock; NaN if the server did not say. */
    this.expiresAt = expiresAt;
    this.#lifetime = lifetime;
  }

  /** What WebSocket takes as its second argument: a browser cannot set the headers of a WebSocket. */
  get protocols() {
    return ["xai-client-secret." + this.value];
  }

  /** Seconds left to open a session, 0 when it has expired; NaN if the server did not say. */
  get remaining() {
    const passed = Math.max(performance.now() - this.#monotonic, Date.now() - this.#wall);
    return Math.max(0, this.#lifetime - passed / 1000);
  }
}

/** Why there is no token, in words for whoever reads the page. */
export class TokenError extends Error {
  /**
   * @param {string} message
   * @param {{advice?: string, hint?: string, status?: number, retryAfter?: number, cause?: unknown}} [details]
   */
  constructor(message, { advice = "", hint = "", status = 0, retryAfter = 0, cause } = {}) {
    super(message, { cause });
    this.name = "TokenError";
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
 * @param {string | URL} [url] where xai_ephemeral_token answers; outside of a page with scheme and host
 * @param {FetchOptions} [options]
 * @returns {Promise<Token>} rejected with a TokenError if the server gives none or cannot be reached
 */
export async function fetchToken(url = "/session", { signal, timeout = TIMEOUT, credentials = "same-origin", headers = {} } = {}) {
  if (signal?.aborted) throw reasonOf(signal);
  // By hand, since WebKit has AbortSignal.any and AbortSignal.timeout only since 2024 and 2022.
  const giveUp = new AbortController();
  const onAbort = () => giveUp.abort();
  signal?.addEventListener("abort", onAbort);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    giveUp.abort();
  }, Math.min(timeout, LONGEST_TIMEOUT));

  /** @type {RequestInit} */
  const request = {
    method: "POST",
    redirect: "manual", // a redirect leads to a sign-in page, not to a token
    signal: giveUp.signal,
    credentials,
    headers,
  };
  let response, body;
  try {
    response = await fetch(url, request);
    body = await response.text();
  } catch (error) {
    if (signal?.aborted) throw reasonOf(signal);
    if (late) throw tooSlow(timeout, error);
    if (isMistake(url, request)) throw error;
    throw unreachable(url, error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }

  // By the server's clock where it can be read, because the visitor's may be wrong.
  const now = Date.parse(response.headers.get("Date") ?? "") || Date.now();
  if (!response.ok) throw refusal(url, response, now);

  let answer;
  try {
    answer = JSON.parse(body);
  } catch (cause) {
    // Caddy answers 200 with an empty body where no directive matches, and a single-page app's
    // fallback answers with HTML. Either way there is no token handler at this path.
    throw nothingThere(url, response.status, cause);
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
  return new Token(answer.value, expiresAt, expiresAt - now / 1000);
}

/**
 * A source of tokens that can have one ready before it is asked. Call prepare() when somebody shows that
 * they are about to start, and take() when they do.
 *
 * @param {string | URL} [url] as for fetchToken
 * @param {FetchOptions} [options] as for fetchToken
 * @returns {TokenSource}
 */
export function createTokenSource(url = "/session", options = {}) {
  /** @type {Token | null} */
  let inHand = null;
  /** @type {Promise<Token | null> | null} null as its outcome is a failure, which is forgotten */
  let inFlight = null;
  let inVain = false; // tokens of this server are too short-lived to be kept

  async function prepare() {
    if (inFlight) {
      await inFlight;
      return;
    }
    if (inVain || isGood(inHand)) return;
    inHand = null;
    const flight = fetchToken(url, options).catch(() => null);
    inFlight = flight;
    const token = await flight;
    if (token) inVain = !isGood(token);
    if (inFlight !== flight) return; // taken meanwhile
    inFlight = null;
    inHand = token;
  }

  /** @param {{signal?: AbortSignal | undefined}} [options] */
  async function take({ signal = options.signal } = {}) {
    if (signal?.aborted) throw reasonOf(signal);
    const token = inHand;
    inHand = null;
    if (isGood(token)) return token;
    const flight = inFlight;
    if (flight) {
      inFlight = null; // nobody else gets it
      const token = await unlessAborted(flight, signal, () => {
        inFlight ??= flight; // whoever comes next gets it
        flight.then((token) => {
          if (inFlight !== flight) return;
          inFlight = null;
          inHand = token;
        });
      });
      if (token) return token;
    }
    const fetched = await fetchToken(url, { ...options, signal });
    inVain = !isGood(fetched);
    return fetched;
  }

  return { prepare, take };
}

/**
 * @param {Token | null} token
 * @returns {token is Token}
 */
const isGood = (token) => token !== null && token.remaining >= MARGIN;

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal | undefined} signal
 * @param {() => void} undo
 * @returns {Promise<T>}
 */
function unlessAborted(promise, signal, undo) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      undo();
      reject(reasonOf(signal));
    };
    signal.addEventListener("abort", onAbort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/**
 * WebKit before 15.4 and React Native give no reason.
 *
 * @param {AbortSignal} signal
 */
const reasonOf = (signal) => signal.reason ?? Object.assign(new Error("The operation was aborted."), { name: "AbortError" });

/**
 * Whether a request cannot even be made: the fault of whoever wrote the call, and not of the network.
 *
 * @param {string | URL} url
 * @param {RequestInit} request
 */
function isMistake(url, request) {
  try {
    new Request(url, { ...request, signal: null });
    return false;
  } catch {
    return true;
  }
}

/** The page's or worker's own origin; "" where there is none, as in Node. */
const ownOrigin = () => globalThis.location?.origin ?? "";

/**
 * @param {number} timeout
 * @param {unknown} cause
 */
const tooSlow = (timeout, cause) =>
  new TokenError("The server did not answer in time", {
    advice: "Try again. If it stays like this, come back later.",
    hint: `There was no answer within ${timeout / 1000} s. Caddy’s log says how long xAI took.`,
    cause,
  });

/**
 * A browser does not tell a page whether the network failed or the server did not trust its origin.
 *
 * @param {string | URL} url
 * @param {unknown} cause
 */
function unreachable(url, cause) {
  const own = ownOrigin();
  const elsewhere = own && new URL(url, globalThis.location.href).origin !== own;
  return new TokenError("The server cannot be reached", {
    advice: "Check your network, then try again.",
    hint: elsewhere
      ? `Is Caddy running? If it is, add ${own} to trusted_origins in its Caddyfile, and the endpoint’s origin to connect-src in this site’s Content-Security-Policy.`
      : "Is Caddy still running?",
    cause,
  });
}

/**
 * From outside a directive that is missing looks like one that is hidden.
 *
 * @param {string | URL} url
 */
function missingOrHidden(url) {
  const path = String(url).replace(/^\w+:\/\/[^/]*|[?#].*$/g, "");
  return `Is the line xai_ephemeral_token ${path} in this site’s block of the Caddyfile, and has Caddy been reloaded? ` +
    "If so, something else takes the request first: a handle beside the line, which then has to stand inside of it, " +
    "or try_files, which changes the path, so that file_server answers.";
}

/**
 * @param {string | URL} url
 * @param {number} status
 * @param {unknown} [cause]
 */
const nothingThere = (url, status, cause) =>
  new TokenError("Nothing hands out tokens here", {
    advice: "Try again later.",
    hint: missingOrHidden(url),
    status,
    cause,
  });

/**
 * What a status means. Caddy's error answers have no body unless handle_errors writes one.
 *
 * @param {string | URL} url
 * @param {Response} response
 * @param {number} now
 */
function refusal(url, { status, headers, type }, now) {
  const retryAfter = secondsUntil(headers.get("Retry-After"), now);
  const wait = retryAfter ? `Wait ${inWords(retryAfter)}, then try again.` : "Wait a moment, then try again.";
  /**
   * @param {string} message
   * @param {string} advice
   */
  const error = (message, advice, hint = "") => new TokenError(message, { advice, hint, status, retryAfter });

  // A browser does not show a redirect that it does not follow; others do.
  if (type === "opaqueredirect" || (status >= 300 && status < 400)) return error("You need to sign in", "Sign in, then come back and try again.");
  switch (status) {
    case 401:
      return error("You need to sign in", "Sign in, then try again.");
    case 403:
      return error("You are not allowed to start a conversation", "If you think you should be, ask whoever runs this site.",
        `Either the visitor lacks permission, or Caddy does not trust the origin${ownOrigin() && ` ${ownOrigin()}`}: then add it to trusted_origins in the Caddyfile.`);
    case 404:
      return nothingThere(url, status);
    case 405:
      return error("The server does not take this request", "Try again later.",
        `Something answers there that takes no POST, such as file_server or an xai_ephemeral_token whose methods leave it out. ${missingOrHidden(url)}`);
    case 429:
      return error("Too many conversations in a short time", wait);
    case 500:
      return error("The server is not set up yet", "Try again later.",
        "It has no usable API key. Set XAI_API_KEY in Caddy’s environment, or api_key in the Caddyfile, and restart Caddy. Its log says what is wrong.");
    case 502:
      return error("The voice service is not available", "Try again in a moment.",
        "xAI refused the API key or the request, or could not be reached. Caddy’s log has the reason.");
    case 503:
      return error("The voice service is busy", wait,
        "xAI limits how many tokens this server may have just now, or the store of its rate limits is down. Caddy’s log says which.");
    case 504:
      return error("The voice service did not answer in time", "Try again. If it stays like this, come back later.");
    default:
      return error(`The server answered with status ${status}`, wait, "That is not an answer that xai_ephemeral_token gives. Caddy’s log may say more.");
  }
}

/**
 * Retry-After holds seconds or a date.
 *
 * @param {string | null} retryAfter
 * @param {number} now
 */
function secondsUntil(retryAfter, now) {
  if (!retryAfter) return 0;
  const seconds = /^\d+$/.test(retryAfter) ? Number(retryAfter) : (Date.parse(retryAfter) - now) / 1000;
  return Math.max(0, Math.ceil(seconds) || 0);
}

/** @param {number} seconds */
function inWords(seconds) {
  if (seconds < 100) return seconds === 1 ? "1 second" : `${seconds} seconds`;
  return `${Math.ceil(seconds / 60)} minutes`;
}

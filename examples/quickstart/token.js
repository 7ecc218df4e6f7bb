// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Step 1 of a conversation: Caddy mints a token.

import { Failure } from "./failure.js";

export const TOKEN_PATH = "/session";
const TOKEN_TIMEOUT = 15_000; // ms; Caddy itself gives up after 10 s unless configured otherwise

export async function fetchToken(signal) {
  let response, body;
  try {
    response = await fetch(TOKEN_PATH, {
      method: "POST",
      redirect: "manual", // a redirect leads to a sign-in page, not to a token
      signal: AbortSignal.any([signal, AbortSignal.timeout(TOKEN_TIMEOUT)]),
    });
    body = await response.text();
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error.name === "TimeoutError") {
      throw new Failure("The server did not answer in time", `Nothing came from \`${TOKEN_PATH}\` for ${TOKEN_TIMEOUT / 1000} seconds. Try again; if it stays like this, look in Caddy’s log.`);
    }
    throw new Failure("The server cannot be reached", "Is Caddy still running? Check the terminal you started it in and your network, then try again.");
  }
  if (!response.ok) throw Object.assign(refusal(response), { status: response.status });

  let token;
  try {
    token = JSON.parse(body);
  } catch {
    // Caddy answers 200 with an empty body where no directive matches, and a single-page app's
    // fallback answers with HTML. Either way there is no token handler at this path.
    throw nothingThere();
  }
  // The value has to fit in a Sec-WebSocket-Protocol header, or the browser refuses to send it.
  if (typeof token?.value !== "string" || !/^[\w.~!#$%&'*+^`|-]+$/.test(token.value)) {
    throw new Failure("The answer holds no usable token", `\`${TOKEN_PATH}\` answered, but without a \`value\` that can open a connection. If you reshape the answer in the Caddyfile, keep that field.`);
  }

  // Compare with the server's clock, not the visitor's, which may be wrong.
  const now = Date.parse(response.headers.get("Date")) || Date.now();
  // Seconds, but some deployments answer in milliseconds.
  const expiresAt = token.expires_at > 1e12 ? token.expires_at : token.expires_at * 1000;
  return { value: token.value, expires: performance.now() + expiresAt - now }; // NaN if it is unknown
}

const nothingThere = () =>
  new Failure("Nothing hands out tokens here", `No token handler answers at \`${TOKEN_PATH}\`. Is the line \`xai_ephemeral_token ${TOKEN_PATH}\` in this site’s block of the Caddyfile, and has Caddy been reloaded?`);

/** What a status means. Caddy's error answers have no body unless handle_errors writes one. */
function refusal(response) {
  const retryAfter = secondsUntil(response.headers.get("Retry-After"));
  const pause = retryAfter ? "The button counts down until you can try again." : "Wait a moment, then try again.";

  if (response.type === "opaqueredirect") {
    return new Failure("Sign in first", `The server redirects \`${TOKEN_PATH}\` to another page, most likely to sign you in. Do that, then come back and try again.`);
  }
  switch (response.status) {
    case 401:
      return new Failure("Sign in first", "This server gives tokens only to people it knows. Sign in, then try again.");
    case 403:
      return new Failure("This page is not allowed to ask for tokens", `Either you lack permission, or the server does not trust the origin \`${location.origin}\`. If this is your server, add the origin to \`trusted_origins\` in the Caddyfile.`);
    case 404:
      return nothingThere();
    case 405:
      return new Failure("The server does not take this request", `\`POST ${TOKEN_PATH}\` is not allowed. Does \`methods\` in the Caddyfile leave out \`POST\`, or does a file server answer in place of \`xai_ephemeral_token\`?`);
    case 429:
      return new Failure("Too many tries", `The server limits how often one visitor gets a token. ${pause}`, { retryAfter });
    case 500:
      return new Failure("The server has no usable API key", "Set `XAI_API_KEY` in Caddy’s environment, or `api_key` in the Caddyfile, and restart Caddy. Its log says what is wrong.");
    case 502:
      return new Failure("Caddy got no token from xAI", "xAI, or the sandbox in its place, refused the API key or the request, or could not be reached. Caddy’s log, in the terminal you started it in, has the reason. Mend that, then try again.");
    case 503:
      return new Failure("xAI is busy", `It limits how many tokens this server may have just now. ${pause}`, { retryAfter });
    case 504:
      return new Failure("xAI did not answer in time", "This often passes by itself. Try again; if it stays like this, look in Caddy’s log.");
    default:
      return new Failure(`The server answered with status ${response.status}`, `That is not an answer \`${TOKEN_PATH}\` normally gives. Caddy’s log may say more.`, { retryAfter });
  }
}

/** Retry-After holds seconds or a date. */
function secondsUntil(retryAfter) {
  if (!retryAfter) return 0;
  const seconds = /^\d+$/.test(retryAfter) ? Number(retryAfter) : (Date.parse(retryAfter) - Date.now()) / 1000;
  return Math.max(0, Math.ceil(seconds) || 0);
}

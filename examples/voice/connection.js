// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// From a token to a session. About one connection in ten opens and never starts a session, and a token
// opens one session only, so each attempt has a token of its own.

import { Failure } from "./failure.js";
const ATTEMPTS = 3;
const OPEN_TIMEOUT = 10_000; // ms until the WebSocket is open
const START_TIMEOUT = 5_000; // from there until session.created

/** The connection opened, but no session started on it: worth another attempt. */
class NeverStarted extends Failure {}

/**
 * Resolves with a WebSocket on which the server has started a session. The tokens come from a source, see
 * token.js. report is told of each step: the attempt's number, and its token as soon as there is one.
 */
export async function connect(settings, source, { signal, report }) {
  for (let attempt = 1; ; attempt++) {
    report(attempt);
    const token = await source.take({ signal });
    report(attempt, token);
    if (token.remaining === 0) throw expired();
    try {
      return await openSession(settings, token, signal);
    } catch (error) {
      if (!(error instanceof NeverStarted) || attempt === ATTEMPTS) throw error;
    }
  }
}

function openSession(settings, token, signal) {
  return new Promise((resolve, reject) => {
    let socket;
    let opened = false;
    let complaint = ""; // what the server said before it closed, if it said anything

    const settle = (how, value) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      document.removeEventListener("securitypolicyviolation", onViolation);
      if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
      if (how === reject) socket?.close();
      how(value);
    };
    const onAbort = () => settle(reject, signal.reason);
    signal.addEventListener("abort", onAbort);
    // Chromium fires neither error nor close at a WebSocket that the page's own policy forbids.
    const onViolation = ({ effectiveDirective }) => {
      if (effectiveDirective === "connect-src") settle(reject, forbidden(settings));
    };
    document.addEventListener("securitypolicyviolation", onViolation);
    // The browser does not tell a page why a WebSocket did not open.
    const notOpened = (cause) => settle(reject, token.remaining === 0 ? expired(cause) : cannotConnect(settings, cause));
    let timer = setTimeout(notOpened, OPEN_TIMEOUT);

    try {
      socket = new WebSocket(settings.realtime, token.protocols);
    } catch (error) {
      notOpened(error);
      return;
    }
    socket.onopen = () => {
      opened = true;
      clearTimeout(timer);
      timer = setTimeout(() => settle(reject, neverStarted("no session started on it")), START_TIMEOUT);
    };
    socket.onmessage = ({ data }) => {
      const event = parse(data);
      if (event.type === "session.created") settle(resolve, socket);
      if (event.type === "error") complaint = describe(event.error);
    };
    socket.onclose = ({ code, reason }) => {
      if (!opened) notOpened();
      else if (complaint) settle(reject, new Failure("The voice service refused the conversation", { advice: `It said: ${complaint}` }));
      else settle(reject, neverStarted(`it was closed before a session started (${closing(code, reason)})`));
    };
  });
}

const neverStarted = (what) =>
  new NeverStarted("The conversation did not start", {
    advice: "Try again in a moment.",
    hint: `${ATTEMPTS} times in a row the connection opened, and then ${what}.`,
  });

const expired = (cause) =>
  new Failure("The token expired before it could open a conversation", {
    advice: "Try again.",
    hint: "expires_after in the Caddyfile says for how long a token can open one: 5 minutes, unless configured otherwise. Is it too short, or the server’s clock wrong?",
    cause,
  });

const cannotConnect = ({ host, isSandbox }, cause) =>
  new Failure("The voice service cannot be reached", {
    advice: "Check your network, then try again.",
    hint: `No connection to ${host}. ${
      isSandbox ? "Is the sandbox running? It is the second site in the quickstart’s Caddyfile." : "Is realtime in settings.json right?"
    } It may also have refused the token: then Caddy gets tokens from one place, and this page connects to another.`,
    cause,
  });

const forbidden = ({ origin }) =>
  new Failure("This site does not allow the connection", {
    advice: "Come back later.",
    hint: `Add ${origin} to connect-src in the site’s Content-Security-Policy, then reload this page.`,
  });

/** An event of the server. Anything that is not a JSON object is none. */
export function parse(data) {
  try {
    return JSON.parse(data) ?? {};
  } catch {
    return {};
  }
}

/** What an error event says, as a sentence. */
export function describe(error) {
  const message = (error?.message || "no reason was given").replace(/\.$/, "");
  return error?.code ? `${message} (${error.code}).` : `${message}.`;
}

export const closing = (code, reason) => (reason ? `“${reason}”, code ${code}` : `code ${code}`);

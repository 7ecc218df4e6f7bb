// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Step 2 of a conversation: the token opens one session.

import { Failure } from "./failure.js";

export const REALTIME_URL = document.querySelector('meta[name="realtime-url"]').content;
export const place = URL.canParse(REALTIME_URL) ? new URL(REALTIME_URL) : { host: REALTIME_URL, hostname: "" };
export const isSandbox = ["localhost", "127.0.0.1", "[::1]"].includes(place.hostname);

export const ATTEMPTS = 3; // some connections open and never start a session; a new token helps
const OPEN_TIMEOUT = 10_000; // ms until the WebSocket is open
const SESSION_TIMEOUT = 5_000; // from there until session.created

/** Resolves with the WebSocket once the server has started the session. */
export function openSession(token, signal) {
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
      if (effectiveDirective === "connect-src") settle(reject, forbidden());
    };
    document.addEventListener("securitypolicyviolation", onViolation);
    let timer = setTimeout(() => settle(reject, cannotConnect()), OPEN_TIMEOUT);

    try {
      // A browser cannot set the headers of a WebSocket, so the token travels as a subprotocol.
      socket = new WebSocket(REALTIME_URL, ["xai-client-secret." + token]);
    } catch (error) {
      settle(reject, new Failure("The browser refused to connect", `Check \`realtime-url\` in index.html. The browser says: ${error.message}`));
      return;
    }

    socket.onopen = () => {
      opened = true;
      clearTimeout(timer);
      timer = setTimeout(() => settle(reject, noSession("opened, but the session did not start")), SESSION_TIMEOUT);
    };
    socket.onmessage = ({ data }) => {
      const event = parse(data);
      if (event.type === "session.created") settle(resolve, socket);
      if (event.type === "error") complaint = describe(event.error);
    };
    socket.onclose = ({ code, reason }) => {
      if (!opened) settle(reject, cannotConnect());
      else if (complaint) settle(reject, new Failure("The session was refused", `The server said: ${complaint}`));
      else settle(reject, noSession(`was closed before the session started (${closing(code, reason)})`));
    };
  });
}

const noSession = (what) =>
  new Failure("The conversation did not start", `The connection ${what}, ${ATTEMPTS} times in a row. Try again in a moment.`, { anotherToken: true });

/** The browser does not tell a page why a WebSocket did not open. */
const cannotConnect = () =>
  new Failure("The conversation’s server cannot be reached", `No connection to \`${place.host}\`. ${
    isSandbox ? "Is the sandbox running? It is the second site in the quickstart’s Caddyfile." : "Check your network, and the address of `realtime-url` in index.html."
  } It may also have refused the token: then Caddy gets tokens from one place, and this page connects to another.`);

const forbidden = () =>
  new Failure("This site’s policy forbids the connection", `Add \`${place.protocol}//${place.host}\` to \`connect-src\` in the site’s Content-Security-Policy, then reload this page.`);

/** Anything that is not a JSON object is no event of this protocol. */
export function parse(data) {
  try {
    return JSON.parse(data) ?? {};
  } catch {
    return {};
  }
}

export function describe(error) {
  const message = (error?.message || "No reason was given").replace(/\.$/, "");
  return error?.code ? `${message} (\`${error.code}\`).` : `${message}.`;
}

export const closing = (code, reason) => (reason ? `“${reason}”, code ${code}` : `code ${code}`);

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// The token in the page opens one session. For the next one the page has to be
// loaded again.
const { realtime } = document.currentScript.dataset;
const token = document.querySelector('meta[name="xai-token"]').content;
const status = document.getElementById("status");

const socket = new WebSocket(`${realtime}?model=grok-voice-latest`, [`xai-client-secret.${token}`]);
socket.addEventListener("message", ({ data }) => {
  const { type } = JSON.parse(data);
  if (type === "session.created") status.textContent = "Connected.";
});
socket.addEventListener("close", () => {
  status.textContent = "Not connected. Reload the page for a new token.";
});

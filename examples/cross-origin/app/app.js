// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

const { endpoint } = document.currentScript.dataset;
const status = document.getElementById("status");

document.getElementById("ask").addEventListener("click", async () => {
  // Without "include" a browser sends no cookies to another origin.
  const response = await fetch(endpoint, { method: "POST", credentials: "include" });
  if (response.status === 401) {
    status.textContent = "Please sign in first.";
    return;
  }
  if (!response.ok) {
    status.textContent = `No token: ${response.status}`;
    return;
  }
  const { expires_at } = await response.json();
  status.textContent = `Got a token, good until ${new Date(expires_at * 1000).toLocaleTimeString()}.`;
});

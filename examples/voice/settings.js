// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// settings.json says where tokens come from, where the conversation takes place and who the agent is.
// A Caddyfile can answer in place of the file, so that one page serves several places.

import { Failure } from "./failure.js";

export async function loadSettings() {
  let settings;
  try {
    const response = await fetch("settings.json");
    if (!response.ok) throw new Error(`status ${response.status}`);
    settings = await response.json();
  } catch (cause) {
    throw new Failure("The page’s settings are missing", {
      advice: "Reload the page.",
      hint: `settings.json could not be read: ${cause.message}`,
      cause,
    });
  }
  let place;
  try {
    place = new URL(settings.realtime);
  } catch {
    // said below
  }
  if (!/^wss?:$/.test(place?.protocol)) {
    throw new Failure("The page’s settings are incomplete", {
      advice: "Come back later.",
      hint: "realtime in settings.json must be the address of a WebSocket, such as wss://api.x.ai/v1/realtime?model=grok-voice-latest",
    });
  }
  const isSandbox = ["localhost", "127.0.0.1", "[::1]"].includes(place.hostname);
  return { session: "/session", ...settings, host: place.host, origin: place.origin, isSandbox };
}

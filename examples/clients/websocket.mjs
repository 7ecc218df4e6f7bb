// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

import { fetchToken } from "./token.js";

/** Opens a session with the WebSocket of browsers, which Node has, too. */
export async function connect() {
  const token = await fetchToken("https://voice.example.com/session");
  return new WebSocket("wss://api.x.ai/v1/realtime?model=grok-voice-latest", token.protocols);
}

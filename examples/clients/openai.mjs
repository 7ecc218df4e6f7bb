// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { fetchToken } from "./token.js";

/** Opens a session. A token takes the place of the API key. */
export async function connect() {
  const token = await fetchToken("https://voice.example.com/session");
  const client = new OpenAI({ apiKey: token.value, baseURL: "https://api.x.ai/v1" });
  return new OpenAIRealtimeWS({ model: "grok-voice-latest" }, client);
}

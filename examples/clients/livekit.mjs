// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

import * as xai from "@livekit/agents-plugin-xai";
import { fetchToken } from "./token.js";

/** Makes the model of one session. A token takes the place of the API key. */
export async function createModel() {
  const token = await fetchToken("https://voice.example.com/session");
  return new xai.realtime.RealtimeModel({
    apiKey: token.value,
    baseURL: "wss://api.x.ai/v1",
    model: "grok-voice-latest",
    voice: "ara",
  });
}

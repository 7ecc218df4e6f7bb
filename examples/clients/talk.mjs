// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// Talks to the agent with the library "ws" (npm install ws), as a device or an app does
// that may know no API key: with a token in a header.
//
//   SESSION_URL=https://voice.example.com/session node talk.mjs "How are you?"

import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";

const { SESSION_URL = "https://voice.example.com/session" } = process.env; // where xai_ephemeral_token answers
const { REALTIME_URL = "wss://api.x.ai/v1/realtime" } = process.env;

/** Opens a session. A token opens one only: call this again for every attempt. */
export async function connect() {
  const answer = await fetch(SESSION_URL, { method: "POST" });
  if (!answer.ok) throw new Error(`no token: ${answer.status} ${answer.statusText}`);
  const { value } = await answer.json();
  return new WebSocket(`${REALTIME_URL}?model=grok-voice-latest`, { headers: { Authorization: `Bearer ${value}` } });
}

/** Says text to the agent, and resolves with what it answers. */
export async function ask(text) {
  const socket = await connect();
  return new Promise((resolve, reject) => {
    const send = (event) => socket.send(JSON.stringify(event));
    socket.on("open", () => {
      send({ type: "session.update", session: { voice: "eve", instructions: "You are a helpful assistant." } });
      send({
        type: "conversation.item.create",
        item: { type: "message", role: "user", content: [{ type: "input_text", text }] },
      });
      send({ type: "response.create" });
    });
    socket.on("message", (data) => {
      const event = JSON.parse(data);
      if (event.type === "error") reject(new Error(event.error.message));
      if (event.type === "response.done") resolve(event.response.output[0].content[0].transcript);
      if (event.type === "error" || event.type === "response.done") socket.close();
    });
    socket.on("error", reject);
    socket.on("close", (code) => reject(new Error(`the connection was closed with code ${code}`)));
  });
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  console.log(await ask(process.argv[2] ?? "Hello!"));
}

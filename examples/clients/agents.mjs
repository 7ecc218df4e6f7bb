// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

import { OpenAIRealtimeWebSocket, RealtimeSession } from "@openai/agents-realtime";
import { fetchToken } from "./token.js";

/** Opens a session of an agent at xAI, in browsers and in Node. */
export async function connect(agent) {
  const token = await fetchToken("https://voice.example.com/session");
  const transport = new OpenAIRealtimeWebSocket({
    url: "wss://api.x.ai/v1/realtime?model=grok-voice-latest",
    useInsecureApiKey: true, // in browsers it takes no tokens but OpenAI's otherwise
    createWebSocket: ({ url }) => translated(new WebSocket(url, token.protocols)),
  });
  const session = new RealtimeSession(agent, {
    transport,
    config: { providerData: { voice: "ara" } }, // where xAI looks for it
  });
  await session.connect({ apiKey: token.value });
  return session;
}

/** Makes the library understand xAI, and spares xAI what it does not support. */
function translated(socket) {
  const transcripts = new Map();
  const listeners = [];
  const deliver = (event) => listeners.forEach((listener) => listener({ data: JSON.stringify(event) }));
  const addEventListener = socket.addEventListener.bind(socket);
  socket.addEventListener = (type, listener) => {
    if (type === "message") listeners.push(listener);
    else addEventListener(type, listener);
  };
  addEventListener("message", ({ data }) => {
    const event = JSON.parse(data);
    if (event.response) delete event.response.status_details; // a string, for which it drops the event
    if (event.previous_item_id === null) delete event.previous_item_id; // which it takes for the beginning
    if (event.type === "session.updated") {
      // xAI interrupts the agent by itself, so there is nothing left to cancel.
      const { audio } = event.session;
      event.session.audio = { ...audio, input: { ...audio?.input, turn_detection: { interrupt_response: true } } };
    }
    if (event.type === "conversation.item.input_audio_transcription.completed") {
      transcripts.set(event.item_id, event.transcript);
    }
    deliver(event);
  });
  const send = socket.send.bind(socket);
  socket.send = (data) => {
    const event = JSON.parse(data);
    if (event.type !== "conversation.item.retrieve") return send(data);
    if (!transcripts.has(event.item_id)) return;
    deliver({
      type: "conversation.item.retrieved",
      event_id: crypto.randomUUID(),
      item: {
        id: event.item_id,
        type: "message",
        role: "user",
        status: "completed",
        content: [{ type: "input_audio", transcript: transcripts.get(event.item_id) }],
      },
    });
  };
  return socket;
}

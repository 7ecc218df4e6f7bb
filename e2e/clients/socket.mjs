// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { step, until } from "./check.mjs";
import { base64, pieces, silence, speech } from "./sound.mjs";

/** Holds a conversation over any kind of WebSocket: types, speaks, interrupts and hangs up. */
export async function converse(socket) {
  const events = [];
  socket.addEventListener("message", ({ data }) => events.push(JSON.parse(data)));
  let closed;
  socket.addEventListener("close", ({ code }) => (closed = code));
  const send = (event) => socket.send(JSON.stringify(event));
  const hear = (sound) => {
    for (const piece of pieces(sound)) send({ type: "input_audio_buffer.append", audio: base64(piece) });
  };
  /** Waits for an event of this type, and forgets what came before it. */
  const next = (type) =>
    until(type, () => {
      const at = events.findIndex((event) => event.type === type);
      return at >= 0 && events.splice(0, at + 1).at(-1);
    });

  await next("session.created");
  send({ type: "session.update", session: { voice: "ara", turn_detection: { type: "server_vad" } } });
  await next("session.updated");
  step("connect");

  const item = { type: "message", role: "user", content: [{ type: "input_text", text: "How are you?" }] };
  send({ type: "conversation.item.create", item });
  send({ type: "response.create" });
  await next("response.output_audio.delta");
  let { response } = await next("response.done");
  assert.equal(response.status, "completed");
  assert.match(response.output[0].content[0].transcript, /I heard “How are you\?”/);
  step("type");

  hear(speech(1.5));
  hear(silence(1));
  const { transcript } = await next("conversation.item.input_audio_transcription.completed");
  assert.match(transcript, /I spoke for 1\.5 seconds/);
  await next("response.output_audio.delta");
  step("speak");

  hear(speech(0.5));
  await next("input_audio_buffer.speech_started");
  ({ response } = await next("response.done"));
  assert.equal(response.status, "cancelled");
  step("interrupt");

  socket.close();
  await until("the end", () => closed !== undefined);
  assert.ok(!events.some(({ type }) => type === "error"), JSON.stringify(events.filter(({ type }) => type === "error")));
  step("close");
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { step, until } from "./check.mjs";
import { connect } from "./openai.mjs";
import { base64, pieces, silence, speech } from "./sound.mjs";

const realtime = await connect();
const heard = { transcript: "" };
realtime.on("session.updated", () => (heard.updated = true));
realtime.on("response.output_audio_transcript.delta", ({ delta }) => (heard.transcript += delta));
realtime.on("response.output_audio.delta", ({ delta }) => (heard.sound = delta));
realtime.on("conversation.item.input_audio_transcription.completed", ({ transcript }) => (heard.user = transcript));
realtime.on("response.done", ({ response }) => (heard.status = response.status));
realtime.on("error", (error) => (heard.error = error));
realtime.socket.on("close", () => (heard.closed = true));
await new Promise((open) => realtime.once("session.created", open));
realtime.send({ type: "session.update", session: { voice: "ara", turn_detection: { type: "server_vad" } } });
await until("session.updated", () => heard.updated);
step("connect");

const item = { type: "message", role: "user", content: [{ type: "input_text", text: "How are you?" }] };
realtime.send({ type: "conversation.item.create", item });
realtime.send({ type: "response.create" });
await until("the answer", () => heard.status === "completed");
assert.match(heard.transcript, /I heard “How are you\?”/);
step("type");

const hear = (sound) => {
  for (const piece of pieces(sound)) realtime.send({ type: "input_audio_buffer.append", audio: base64(piece) });
};
heard.sound = undefined;
hear(speech(1.5));
hear(silence(1));
await until("the answer", () => heard.sound);
assert.match(heard.user, /I spoke for 1\.5 seconds/);
step("speak");

hear(speech(0.5));
await until("the interruption", () => heard.status === "cancelled");
step("interrupt");

realtime.close();
await until("the end", () => heard.closed);
assert.equal(heard.error, undefined);
step("close");

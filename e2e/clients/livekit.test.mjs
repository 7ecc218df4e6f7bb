// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

import { initializeLogger, llm } from "@livekit/agents";
import { AudioFrame } from "@livekit/rtc-node";
import assert from "node:assert/strict";
import { step, until } from "./check.mjs";
import { createModel } from "./livekit.mjs";
import { pieces, silence, speech } from "./sound.mjs";

initializeLogger({ pretty: false, level: "warn" });
const model = await createModel();
const session = model.session();
const errors = [];
const generations = [];
const heard = { user: "", sound: 0, spoke: 0 };
session.on("error", (error) => errors.push(error));
session.on("input_speech_started", () => heard.spoke++);
session.on("input_audio_transcription_completed", ({ transcript }) => (heard.user = transcript));

/** Listens to an answer until it ends. */
async function listen(generation) {
  const answer = { text: "" };
  generations.push(answer);
  for await (const message of generation.messageStream) {
    await Promise.all([
      (async () => {
        for await (const text of message.textStream) answer.text += typeof text === "string" ? text : text.text;
      })(),
      (async () => {
        for await (const frame of message.audioStream) heard.sound += frame.samplesPerChannel;
      })(),
    ]);
  }
  answer.done = true;
  return answer;
}

const context = llm.ChatContext.empty();
context.addMessage({ role: "user", content: "How are you?" });
await session.updateChatCtx(context);
step("connect");

const answer = await listen(await session.generateReply());
assert.match(answer.text, /I heard “How are you\?”/);
assert.ok(heard.sound > 24_000, `${heard.sound} samples`);
step("type");

session.on("generation_created", (generation) => listen(generation));
const hear = (sound) => {
  for (const piece of pieces(sound)) session.pushAudio(new AudioFrame(piece, 24_000, 1, piece.length));
};
heard.sound = 0;
hear(speech(1.5));
hear(silence(1));
await until("the answer", () => heard.sound > 0);
assert.match(heard.user, /I spoke for 1\.5 seconds/);
step("speak");

const interrupted = generations.at(-1);
hear(speech(0.5));
await until("the interruption", () => heard.spoke === 2 && interrupted.done);
step("interrupt");

await session.close();
assert.deepEqual(errors, []);
step("close");
process.exit(0); // the library keeps a thread

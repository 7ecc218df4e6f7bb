// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

import { RealtimeAgent, tool } from "@openai/agents-realtime";
import { z } from "zod";
import { connect } from "./agents.mjs";
import { step, until } from "./check.mjs";
import { pieces, silence, speech } from "./sound.mjs";

function mustMatch(text, pattern) {
  if (!pattern.test(text)) throw new Error(`${JSON.stringify(text)} does not match ${pattern}`);
}

/** Holds a conversation, in Node or in a browser: types, uses a tool, speaks, interrupts and hangs up. */
export async function converse() {
  const asked = [];
  const weather = tool({
    name: "weather",
    description: "Tells the weather of a city",
    parameters: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      asked.push(city);
      return `Rain in ${city}`;
    },
  });
  const session = await connect(new RealtimeAgent({ name: "agent", instructions: "Be brief.", tools: [weather] }));
  const heard = { turns: 0, interruptions: 0, sound: 0 };
  const errors = [];
  session.on("audio", ({ data }) => (heard.sound += data.byteLength));
  session.on("audio_interrupted", () => heard.interruptions++);
  session.on("error", (error) => errors.push(error));
  session.transport.on("turn_done", () => heard.turns++);
  session.transport.on("*", ({ type }) => (heard.truncated ||= type === "conversation.item.truncated"));
  session.transport.on("disconnected", () => (heard.closed = true));
  const said = (role) =>
    session.history
      .filter((item) => item.role === role)
      .map(({ content }) => content.map(({ text, transcript }) => text ?? transcript).join(""));
  step("connect");

  session.sendMessage("How are you?");
  await until("the answer", () => heard.turns === 1);
  mustMatch(said("assistant").at(-1), /I heard “How are you\?”/);
  step("type");

  session.sendMessage('Use the tool with {"city": "Oslo"}');
  await until("the answer to the tool", () => heard.turns === 3);
  mustMatch(asked.join(), /^Oslo$/);
  mustMatch(said("assistant").at(-1), /The tool told me “Rain in Oslo”/);
  step("use a tool");

  const hear = (sound) => {
    for (const piece of pieces(sound)) session.sendAudio(piece.buffer);
  };
  heard.sound = 0;
  hear(speech(1.5));
  hear(silence(1));
  await until("the answer", () => heard.sound > 0);
  mustMatch(said("user").at(-1), /I spoke for 1\.5 seconds/);
  step("speak");

  hear(speech(0.5));
  await until("the interruption", () => heard.interruptions > 0 && heard.turns === 4 && heard.truncated);
  step("interrupt");

  session.close();
  await until("the end", () => heard.closed);
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  step("close");
}

// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

import { experimental_useRealtime as useRealtime } from "@ai-sdk/react";
import { xai } from "@ai-sdk/xai";

const model = xai.experimental_realtime("grok-voice-latest"); // needs no key here
const api = { token: "/ai-sdk" };
const sessionConfig = { voice: "ara", turnDetection: { type: "server-vad" } };

/** A conversation, with buttons. */
export function Conversation() {
  const { status, messages, connect, disconnect, startAudioCapture, sendTextMessage } = useRealtime({
    model,
    api,
    sessionConfig,
  });
  const talk = async () => {
    const microphone = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true } });
    startAudioCapture(microphone);
  };
  return (
    <>
      <p>{status}</p>
      {messages.map(({ id, role, parts }) => (
        <p key={id}>
          {role}: {parts.map((part) => part.text).join("")}
        </p>
      ))}
      <button onClick={() => connect()}>Connect</button>
      <button onClick={talk}>Talk</button>
      <button onClick={() => sendTextMessage("How are you?")}>Ask</button>
      <button onClick={disconnect}>End</button>
    </>
  );
}

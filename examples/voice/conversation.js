// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// One session of xAI's realtime protocol: what is sent, and what each event of the server means.

import { closing, describe, parse } from "./connection.js";
import { Failure } from "./failure.js";
import { MICROPHONE_RATE } from "./microphone.js";
import { PLAYBACK_RATE } from "./playback.js";

const pcm = (rate) => ({ format: { type: "audio/pcm", rate } });

/**
 * An EventTarget. The detail of its events: of "failure" and "end" a Failure, of "hearing" whether the
 * user is speaking, of "said" a complete line of the agent.
 */
export class Conversation extends EventTarget {
  #socket;
  #transcript;
  #playback; // null on a machine without sound, which still gets the text
  #asked = false; // between response.create and response.created
  #active = false; // between response.created and response.done
  #owed = false; // an answer to ask for when this one is done: there is one at a time
  #unheard = false; // what is still to come of this answer was interrupted
  #line = ""; // the id of the item that the agent says or said last

  constructor(socket, { settings, transcript, playback }) {
    super();
    this.#socket = socket;
    this.#transcript = transcript;
    this.#playback = playback;
    socket.onmessage = ({ data }) => this.#receive(parse(data));
    socket.onclose = ({ code, reason }) => this.#emit("end", ended(code, reason));
    this.#send({
      type: "session.update",
      session: {
        voice: settings.voice,
        instructions: settings.instructions,
        turn_detection: { type: "server_vad" }, // off unless asked for
        audio: {
          // With this model, what the user says is written down while they speak.
          input: { ...pcm(MICROPHONE_RATE), transcription: { model: "grok-transcribe" } },
          output: pcm(PLAYBACK_RATE),
        },
      },
    });
  }

  get answering() {
    return this.#asked || this.#active;
  }

  /** Sends a chunk of the microphone's sound. When a sentence ends is for the server to find out. */
  hear(audio) {
    this.#send({ type: "input_audio_buffer.append", audio });
  }

  /** Sends what was typed. */
  say(text) {
    this.#transcript.add("user", text);
    this.#send({
      type: "conversation.item.create",
      item: { type: "message", role: "user", content: [{ type: "input_text", text }] },
    });
    this.#interrupt();
    if (this.answering) this.#owed = true;
    else this.#askForAnswer();
  }

  /** The person has had enough. */
  close() {
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }

  #send(event) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(event));
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #askForAnswer() {
    this.#owed = false;
    this.#asked = true;
    this.#send({ type: "response.create" });
  }

  /** Whoever speaks or types wants to be heard, not to listen. */
  #interrupt() {
    if (this.#active || this.#playback?.playing) this.#transcript.interrupt(this.#line);
    this.#playback?.drop();
    this.#unheard = this.answering;
  }

  #receive(event) {
    switch (event.type) {
      case "input_audio_buffer.speech_started":
        this.#interrupt();
        this.#emit("hearing", true);
        break;
      case "input_audio_buffer.speech_stopped":
        this.#emit("hearing", false);
        break;

      // The words may come after the answer has begun, so keep their place in the transcript.
      case "conversation.item.added":
        if (event.item?.content?.some(({ type }) => type === "input_audio")) this.#transcript.hold("user", event.item.id);
        break;

      // What the user said aloud: each event repeats the whole line, so replace it.
      case "conversation.item.input_audio_transcription.updated":
      case "conversation.item.input_audio_transcription.completed":
        this.#transcript.replace("user", event.item_id, event.transcript);
        break;

      case "response.created":
        this.#asked = false;
        this.#active = true;
        this.#unheard = false;
        this.#line = "";
        break;

      // What the agent says: each event brings the next few words, so append them.
      case "response.output_audio_transcript.delta":
        this.#line = event.item_id;
        this.#transcript.append("agent", event.item_id, event.delta);
        break;
      case "response.output_audio_transcript.done":
        if (event.transcript) this.#transcript.replace("agent", event.item_id, event.transcript);
        this.#emit("said", this.#transcript.text(event.item_id));
        break;

      case "response.output_audio.delta":
        if (event.delta && !this.#unheard) this.#playback?.play(event.delta);
        break;

      case "response.done":
        this.#finishAnswer(event.response ?? {});
        break;

      case "error":
        this.#asked = false;
        this.#emit("failure", new Failure("The voice service reports an error", {
          advice: `${sentence(describe(event.error))} You can go on, or end the conversation and start another.`,
        }));
        if (this.#owed && !this.#active) this.#askForAnswer();
        break;

      // ping and all that is not needed here: the protocol has more events than a small client.
    }
  }

  #finishAnswer({ status, status_details: details }) {
    this.#active = false;
    if (status === "failed") {
      this.#emit("failure", new Failure("The agent could not answer", {
        advice: `${sentence(describe(details?.error))} You can go on.`,
      }));
    }
    if (this.#owed) this.#askForAnswer();
  }
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1);

const ended = (code, reason) =>
  code === 1006 // the browser's code for a connection that ended without a goodbye
    ? new Failure("The connection was lost", { advice: "Check your network, then start again." })
    : new Failure("The voice service ended the conversation", {
        advice: "Start again whenever you like.",
        hint: `It closed the connection with ${closing(code, reason)}.`,
      });

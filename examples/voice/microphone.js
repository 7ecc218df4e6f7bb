// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// The microphone, as chunks of base64 that the server takes: 16-bit PCM, little-endian, mono.

import { Failure } from "./failure.js";
import { started } from "./sound.js";

export const MICROPHONE_RATE = 24_000; // Hz

/**
 * An open microphone. It is an EventTarget: "ended" says that it is gone for good, "change" that the
 * browser or the system silenced it or gave it back.
 */
export class Microphone extends EventTarget {
  #context;
  #track;
  #loudness = 0;

  /** Asks for the microphone; onChunk gets each 40 ms of sound. */
  static async open(onChunk) {
    if (!isSecureContext) throw insecure();
    if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) throw unsupported();
    let stream;
    try {
      // Without echo cancellation the agent hears itself, and interrupts itself.
      stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
      });
    } catch (error) {
      throw explain(error);
    }
    const microphone = new Microphone();
    try {
      await microphone.#listen(stream, onChunk);
    } catch (error) {
      microphone.close();
      throw explain(error);
    }
    return microphone;
  }

  async #listen(stream, onChunk) {
    [this.#track] = stream.getAudioTracks();
    this.#track.onended = () => {
      this.close();
      this.dispatchEvent(new Event("ended"));
    };
    this.#track.onmute = this.#track.onunmute = () => this.dispatchEvent(new Event("change"));

    let source;
    [this.#context, source] = connectTo(stream);
    await this.#context.audioWorklet.addModule(new URL("microphone-worklet.js", import.meta.url));
    const capture = new AudioWorkletNode(this.#context, "capture", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit", // a stereo microphone becomes mono
      processorOptions: { rate: MICROPHONE_RATE },
    });
    source.connect(capture);
    await started(this.#context);
    capture.port.onmessage = ({ data: { pcm, loudness } }) => { // which gets what was said meanwhile, too
      this.#loudness = loudness;
      onChunk(btoa(String.fromCharCode(...new Uint8Array(pcm))));
    };
  }

  /** Muted, it goes on with silence, which tells the server that a sentence has ended. */
  set muted(muted) {
    this.#track.enabled = !muted;
  }

  get muted() {
    return !this.#track.enabled;
  }

  /** Whether somebody else silenced it: a switch on the headset, the system or the browser. */
  get silenced() {
    return this.#track.muted;
  }

  /** How loud it is at this moment: the root mean square, of at most 1. */
  get loudness() {
    return this.muted ? 0 : this.#loudness;
  }

  close() {
    this.#track.onended = this.#track.onmute = this.#track.onunmute = null;
    this.#track.stop();
    this.#loudness = 0;
    if (this.#context?.state !== "closed") this.#context?.close();
  }
}

/** Whether there is any microphone, as far as the browser tells. */
export async function hasMicrophone() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices.some(({ kind }) => kind === "audioinput");
}

/** Firefox connects a microphone only to a context of the microphone's own rate; the worklet converts. */
function connectTo(stream) {
  const context = new AudioContext({ sampleRate: MICROPHONE_RATE });
  try {
    return [context, context.createMediaStreamSource(stream)];
  } catch {
    context.close();
    const own = new AudioContext();
    return [own, own.createMediaStreamSource(stream)];
  }
}

const unsupported = () =>
  new Failure("This browser gives the page no microphone", {
    advice: "Type instead, or try a current browser.",
  });

/** Browsers give a microphone to pages of https sites and of this machine only. */
export const insecure = () =>
  new Failure("This page gets no microphone over http", {
    advice: "Open it over https to talk. Typing works here, too.",
    hint: "Caddy serves a site over https if its address in the Caddyfile is a name without http:// in front. On this machine http://localhost will do.",
  });

function explain(error) {
  if (error instanceof Failure) return error;
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return new Failure("The page may not use the microphone", {
        advice: "Type instead. To talk, allow the microphone in the browser’s settings for this site, then turn it on again.",
        hint: "If no visitor is asked, the Permissions-Policy of this site must contain microphone=(self).",
        cause: error,
      });
    case "NotFoundError":
    case "OverconstrainedError":
      return new Failure("There is no microphone", {
        advice: "Type instead, or connect a microphone and turn it on.",
        cause: error,
      });
    case "NotReadableError":
    case "AbortError":
      return new Failure("The microphone cannot be used", {
        advice: "Another program may be using it. Type instead, or close that program and turn the microphone on again.",
        cause: error,
      });
    default:
      return new Failure("The microphone does not work", {
        advice: "Type instead.",
        hint: `The browser says: ${error.message}`,
        cause: error,
      });
  }
}

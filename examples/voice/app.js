// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// A call from its start to its end:
//
//   1. connect()      Caddy mints a token, and the token opens a session       token.js, connection.js
//   2. Microphone     joins when the person allows it; typing works without    microphone.js
//   3. Conversation   text and sound go back and forth                         conversation.js, playback.js

import { connect } from "./connection.js";
import { Conversation } from "./conversation.js";
import { Failure } from "./failure.js";
import { hasMicrophone, insecure, Microphone, MICROPHONE_RATE } from "./microphone.js";
import { announce, clearNotice, clock, enable, explain, meter, pause, press, show, transcript, ui, write } from "./page.js";
import { Playback } from "./playback.js";
import { loadSettings } from "./settings.js";
import { createTokenSource, TokenError } from "./token.js";

// A second of it, in base64. A microphone that breaks off in the middle of a sentence would leave the
// server waiting for the end, which it recognizes by silence.
const SILENCE = btoa("\0".repeat(2 * MICROPHONE_RATE));

let settings;
let source; // of tokens
let call = null; // the one that is being opened or held
let token = null; // the latest
let tokenUsed = false; // it has opened a session, the only one that it can open
let finishing = false;
let soundOn = true;
let pausedUntil = 0; // no new attempt before this moment, because the server said so

// ---------------------------------------------------------------------------------------------------
// The call

async function start(withMicrophone) {
  const typing = document.activeElement === ui.line;
  const mine = { abort: new AbortController() };
  call = mine;
  token = null;
  tokenUsed = false;
  clearNotice();
  show("connecting", "Connecting", "One moment, please.");
  if (!typing) ui.end.focus({ preventScroll: true });
  announce("Connecting");
  showMicrophone();
  const [connecting, begun] = beginToConnect(mine);
  await begun;
  if (mine !== call) return;
  // Sound and microphone now, because a browser may want the click. They are not waited for: a question
  // that nobody answers must keep nobody from typing.
  mine.playback = createPlayback();
  if (withMicrophone) openMicrophone();

  let socket;
  try {
    socket = await connecting;
  } catch (error) {
    if (mine.abort.signal.aborted) return; // hangUp() has tidied up
    finish("Not connected", "failed");
    fail(error);
    return;
  }
  tokenUsed = true;
  transcript.clear(); // not before: an attempt that fails must not cost the last conversation
  mine.since = performance.now();
  mine.conversation = new Conversation(socket, { settings, transcript, playback: mine.playback });
  listen(mine);
  show("talking", "Your turn", "");
  announce("The conversation has started");
  tick();
  if (mine.unsent) send();
  if (!withMicrophone && document.activeElement === ui.end) ui.line.focus({ preventScroll: true });
  animate(mine);
}

/**
 * The connection, and a promise for when its WebSocket is on the way, which it is at once if the token is
 * there: to prepare sound can take longer than all the rest of the click. Without a token nobody waits.
 */
function beginToConnect({ abort: { signal } }) {
  let connecting;
  const begun = new Promise((resolve) => {
    connecting = connect(settings, source, {
      signal,
      report(attempt, token) {
        report(attempt, token);
        if (token) resolve();
      },
    });
    connecting.catch(() => {}); // start() looks at it later
    setTimeout(resolve);
  });
  return [connecting, begun];
}

/** Each attempt of connect() begins with a new token. */
function report(attempt, newToken = null) {
  token = newToken;
  write("connection", attempt > 1 ? `Opening, attempt ${attempt}` : "Opening");
  tick();
}

function listen({ conversation }) {
  conversation.addEventListener("hearing", ({ detail }) => {
    call.hearing = detail;
  });
  conversation.addEventListener("said", ({ detail }) => announce(`Agent: ${detail}`));
  conversation.addEventListener("failure", ({ detail }) => explain(detail));
  conversation.addEventListener("end", ({ detail }) => {
    finish("Disconnected", "failed");
    fail(detail);
  });
}

/** A machine without a sound device still gets the text. */
function createPlayback() {
  try {
    const playback = new Playback();
    playback.muted = !soundOn;
    playback.start().catch((failure) => {
      if (call?.playback === playback) explain(failure);
    });
    return playback;
  } catch {
    return null;
  }
}

/** The person has had enough, or has left the page, to which browsers let people come back. */
function hangUp() {
  const { conversation } = call;
  call.abort.abort();
  clearNotice();
  finish(conversation ? "Ended" : "Ready", "ready");
  announce(conversation ? "The conversation has ended" : "Cancelled");
}

/** Whoever moves to a button is about to press it: then the click need not wait for xAI. */
function prepare() {
  if (!call && !finishing && performance.now() >= pausedUntil) source.prepare();
}

function finish(state, phase) {
  const { conversation, microphone, playback, since } = call;
  call = null;
  conversation?.close();
  microphone?.close();
  playback?.close();
  const ended = conversation ? `After ${clock((performance.now() - since) / 1000)}.` : "";
  write("connection", conversation && phase === "failed" ? "Lost" : "Closed");
  showMicrophone();
  meter.rest();
  finishing = true; // the page moves the focus then, and not somebody who wants to start again
  show(phase, state, ended || (phase === "ready" ? "Speak as you would to a person, or type." : ""));
  finishing = false;
  tick();
}

function fail(error) {
  if (!(error instanceof TokenError || error instanceof Failure)) {
    console.error(error); // a mistake of this page, so leave a trace for whoever mends it
    error = new Failure("Something unexpected went wrong", { advice: "Reload the page.", hint: `The browser says: ${error.message}` });
  }
  pausedUntil = performance.now() + error.retryAfter * 1000;
  explain(error);
  tick();
}

// ---------------------------------------------------------------------------------------------------
// The microphone

async function openMicrophone() {
  const mine = call;
  mine.asking = true;
  mine.complaint = "";
  showMicrophone();
  let microphone;
  try {
    microphone = await Microphone.open((audio) => mine.conversation?.hear(audio));
  } catch (error) {
    if (mine === call) withoutMicrophone(error, "Not available");
    return;
  } finally {
    mine.asking = false;
  }
  if (mine !== call) { // ended meanwhile
    microphone.close();
    return;
  }
  mine.microphone = microphone;
  microphone.addEventListener("change", showMicrophone);
  microphone.addEventListener("ended", () => {
    mine.conversation?.hear(SILENCE);
    withoutMicrophone(new Failure("The microphone is gone", {
      advice: "It was unplugged, or its permission was withdrawn. Go on by typing, or turn a microphone on again.",
    }), "Gone");
  });
  showMicrophone();
}

function withoutMicrophone(failure, complaint) {
  call.microphone = null;
  call.asking = false;
  call.complaint = complaint;
  showMicrophone();
  explain(failure);
}

function showMicrophone() {
  const { microphone, asking, complaint } = call ?? {};
  press(ui.microphone, Boolean(microphone && !microphone.muted));
  write("microphone-state",
    asking ? "Please allow it"
      : !microphone ? complaint || "Off"
        : microphone.muted ? "Muted"
          : microphone.silenced ? "Silenced by the system" : "On");
}

/** A microphone that was plugged in is offered, not opened: nobody asked for it. */
async function offerMicrophone() {
  if (!call?.complaint || !(await hasMicrophone()) || !call?.complaint) return;
  call.complaint = "Ready to turn on";
  showMicrophone();
}

// ---------------------------------------------------------------------------------------------------
// What changes with time

/** Whose turn it is, and how to put that into words. */
function turn({ conversation, playback, microphone, hearing }) {
  if (hearing) return ["user", "Listening", "Go on, I hear you."];
  if (playback?.playing) return ["agent", "Speaking", microphone ? "Speak or type to interrupt." : "Type to interrupt."];
  if (conversation.answering) return ["thinking", "Thinking", ""];
  return ["nobody", "Your turn", microphone && !microphone.muted ? "Speak, or type." : "Type your message."];
}

function animate(mine) {
  if (mine !== call) return;
  const [whose] = turn(mine);
  meter.show(whose, { user: mine.microphone?.loudness ?? 0, agent: mine.playback?.loudness ?? 0 });
  tick();
  requestAnimationFrame(() => animate(mine));
}

function tick() {
  if (call?.conversation) {
    const [, state, detail] = turn(call);
    write("state", state);
    write("detail", detail);
    write("connection", `Open for ${clock((performance.now() - call.since) / 1000)}`);
  }
  write("token", tokenInWords());
  pause(Math.ceil((pausedUntil - performance.now()) / 1000));
}

/** Not for how long it is good: that bounds the time to connect, and a session that is open goes on. */
function tokenInWords() {
  if (!token) return call ? "On its way" : "None yet";
  return tokenUsed ? "Used" : "Not used";
}

// ---------------------------------------------------------------------------------------------------
// What is typed

/** Sends the line; if there is no conversation yet, as soon as there is one. */
function send() {
  const text = ui.line.value.trim();
  if (!text) return;
  if (!call?.conversation) {
    if (!call && performance.now() >= pausedUntil) start(false);
    if (call) call.unsent = true;
    return;
  }
  ui.line.value = "";
  clearNotice();
  call.conversation.say(text);
}

// ---------------------------------------------------------------------------------------------------
// The controls

for (const [button, withMicrophone] of [[ui.talk, true], [ui.type, false]]) {
  button.addEventListener("click", (event) => {
    // A double click must not start twice; a pause the server asked for is to be kept.
    if (event.detail > 1 || call || performance.now() < pausedUntil) return;
    start(withMicrophone);
  });
}
ui.end.addEventListener("click", (event) => {
  if (event.detail <= 1 && call) hangUp();
});
ui.microphone.addEventListener("click", () => {
  if (!call || call.asking) return;
  if (!call.microphone) {
    clearNotice();
    openMicrophone();
    return;
  }
  call.microphone.muted = !call.microphone.muted;
  showMicrophone();
});
ui.sound.addEventListener("click", () => {
  soundOn = !soundOn;
  press(ui.sound, soundOn);
  if (call?.playback) call.playback.muted = !soundOn;
});
ui.composer.addEventListener("submit", (event) => {
  event.preventDefault(); // also what makes the Enter key work
  send();
});
addEventListener("pagehide", () => {
  if (call) hangUp();
});
navigator.mediaDevices?.addEventListener("devicechange", offerMicrophone);

document.getElementById("not-running").remove();
try {
  settings = await loadSettings();
  write("place", settings.isSandbox ? "Sandbox: no key, no bill" : settings.host);
  if (!isSecureContext) explain(insecure());
  enable();
  source = createTokenSource(settings.session);
  for (const control of [ui.talk, ui.type, ui.line]) {
    for (const intent of ["pointerover", "focus", "touchstart"]) control.addEventListener(intent, prepare, { passive: true });
  }
  setInterval(tick, 500); // where nothing is animated
} catch (error) {
  show("failed", "Not ready", "");
  fail(error);
}

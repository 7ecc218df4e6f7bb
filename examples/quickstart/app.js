// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// One conversation takes three steps:
//
//   1. POST /session         Caddy mints an ephemeral token       token.js
//   2. new WebSocket(...)    the token opens one session          connection.js
//   3. events                text and sound go back and forth     converse(), player.js
//
// The rest of this file is the page itself.

import { ATTEMPTS, closing, describe, isSandbox, openSession, parse, place } from "./connection.js";
import { clock, Failure } from "./failure.js";
import { Player, SAMPLE_RATE } from "./player.js";
import { fetchToken, TOKEN_PATH } from "./token.js";

const GREETING = "Hello! Who are you, and what can you do?";
const INSTRUCTIONS = "You are a friendly voice agent. Answer in one or two short sentences.";
const TOKEN_PREFIX = "xai-realtime-client-secret-"; // all of a token that may be shown

/** A token opens one session, so every attempt starts with a new one. */
async function connect(signal) {
  for (let attempt = 1; ; attempt++) {
    const count = attempt > 1 ? ` (attempt ${attempt} of ${ATTEMPTS})` : "";
    shownToken = null;
    step("connection", "idle", "The token opens one WebSocket");
    step("token", "active", `Asking Caddy at \`${TOKEN_PATH}\`${count}`);
    const token = await fetchToken(signal);
    showToken(token);
    step("connection", "active", `Opening \`${place.host}\`${count}`);
    try {
      const socket = await openSession(token.value, signal);
      shownToken.used = true;
      step("connection", "done", `Open to \`${place.host}\``);
      return socket;
    } catch (error) {
      if (!error.anotherToken || attempt === ATTEMPTS) throw error;
    }
  }
}

// ---------------------------------------------------------------------------------------------------
// Step 3: the conversation

function converse(call) {
  const { socket } = call;
  call.since = performance.now();
  socket.onmessage = ({ data }) => receive(call, parse(data));
  socket.onclose = ({ code, reason }) => {
    finish(call, "failed");
    // Nobody here hung up: a person who does goes through hangUp(), which unhooks this handler.
    explain(code === 1006 // the browser's code for a connection that ended without a goodbye
      ? new Failure("The connection was lost", `${isSandbox ? "Is the sandbox still running? Then start" : "Check your network, then start"} again: a new conversation gets a new token.`)
      : new Failure("The connection was closed", `The other side ended the conversation (${closing(code, reason)}). Start again: a new one gets a new token.`));
  };

  transmit(call, {
    type: "session.update",
    session: {
      instructions: INSTRUCTIONS,
      audio: { output: { format: { type: "audio/pcm", rate: SAMPLE_RATE } } },
    },
  });
  say(call, GREETING);
}

const transmit = (call, event) => call.socket.send(JSON.stringify(event));

function say(call, text) {
  transcript.say(text);
  transmit(call, {
    type: "conversation.item.create",
    item: { type: "message", role: "user", content: [{ type: "input_text", text }] },
  });
  // Whoever speaks interrupts the agent. What is still to come of its answer stays unheard.
  call.player?.drop();
  call.unheard = call.answering;
  if (call.answering) call.owed = true; // one answer at a time: ask for the next when this one is done
  else askForAnswer(call);
}

function askForAnswer(call) {
  call.owed = false;
  call.answering = true;
  call.spoke = false;
  transmit(call, { type: "response.create" });
}

function receive(call, event) {
  switch (event.type) {
    case "conversation.item.added":
      if (event.item?.role === "user") transcript.identify(event.item.id);
      break;

    // What the user said aloud: each event repeats the whole line, so replace it.
    case "conversation.item.input_audio_transcription.updated":
    case "conversation.item.input_audio_transcription.completed":
      transcript.replace("user", event.item_id, event.transcript);
      break;

    // With a microphone: the user begins to speak, so stop talking over them.
    case "input_audio_buffer.speech_started":
      call.player?.drop();
      break;

    case "response.created":
      call.answering = true;
      call.unheard = false;
      break;

    // What the agent says: each event brings the next few words, so append them.
    case "response.output_audio_transcript.delta":
      call.spoke = true;
      transcript.append("agent", event.item_id, event.delta);
      break;
    case "response.output_audio_transcript.done":
      if (event.transcript) transcript.replace("agent", event.item_id, event.transcript);
      announce(`Agent: ${transcript.text(event.item_id)}`);
      break;

    case "response.output_audio.delta":
      call.spoke = true;
      if (event.delta && !call.unheard) call.player?.play(event.delta);
      break;

    case "response.done":
      call.answering = false;
      if (event.response?.status === "failed") {
        explain(new Failure("The agent could not answer", `${describe(event.response.status_details?.error)} You can go on writing.`));
      }
      if (call.owed) askForAnswer(call);
      break;

    case "error":
      call.answering = call.owed = false;
      explain(new Failure("The server reports an error", `${describe(event.error)} You can go on writing, or end the conversation and start another.`));
      break;
  }
}

/** A machine without a sound device still gets the text. */
function createPlayer() {
  try {
    return new Player(muted);
  } catch {
    return null;
  }
}

// ---------------------------------------------------------------------------------------------------
// The page

const $ = (id) => document.getElementById(id);
const ui = {
  panel: $("panel"), place: $("place"), orb: $("orb"), mute: $("mute"), end: $("end"),
  scroller: $("scroller"), empty: $("empty"), transcript: $("transcript"),
  notice: $("notice"), start: $("start"), composer: $("composer"), line: $("line"), send: $("send"),
  announcer: $("announcer"),
};

const calm = matchMedia("(prefers-reduced-motion: reduce)");

let current = null; // the conversation that is being opened or held
let muted = false;
let shownToken = null; // its expiry, never its value
let pausedUntil = 0; // no new attempt before this moment, because the server said so
let startLabel = ui.start.textContent;

const transcript = {
  lines: new Map(), // by item_id
  unidentified: [], // typed lines the server has not given an id yet

  say(text) {
    const line = this.add("user");
    line.textContent = text;
    this.unidentified.push(line);
    this.follow(true);
  },
  identify(id) {
    const line = this.unidentified.shift();
    if (line) this.lines.set(id, line);
  },
  append(role, id, text) {
    const atEnd = this.atEnd();
    this.line(role, id).append(text ?? "");
    this.follow(atEnd);
  },
  replace(role, id, text) {
    const atEnd = this.atEnd();
    this.line(role, id).textContent = text ?? "";
    this.follow(atEnd);
  },
  text(id) {
    return this.lines.get(id)?.textContent ?? "";
  },
  line(role, id) {
    if (!this.lines.has(id)) this.lines.set(id, this.add(role));
    return this.lines.get(id);
  },
  add(role) {
    const item = document.createElement("li");
    const speaker = document.createElement("span");
    const text = document.createElement("p");
    item.className = role;
    speaker.className = "speaker";
    speaker.textContent = role === "user" ? "You" : "Agent";
    item.append(speaker, text);
    ui.transcript.append(item);
    ui.empty.hidden = true;
    return text;
  },
  clear() {
    this.lines.clear();
    this.unidentified = [];
    ui.transcript.replaceChildren();
    ui.empty.hidden = false;
  },
  // Stay at the newest line, unless the person scrolled back to read.
  atEnd: () => ui.scroller.scrollHeight - ui.scroller.scrollTop - ui.scroller.clientHeight < 48,
  follow(atEnd) {
    if (atEnd) ui.scroller.scrollTop = ui.scroller.scrollHeight;
  },
};

/** Sets text in which `backticks` become code, without ever parsing it as HTML. */
function write(element, text) {
  element.replaceChildren(...text.split("`").map((part, index) => {
    if (index % 2 === 0) return part;
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  }));
}

function step(name, state, detail) {
  const item = $(`step-${name}`);
  item.dataset.state = state;
  if (state === "active") item.setAttribute("aria-current", "step");
  else item.removeAttribute("aria-current");
  const element = item.querySelector(".detail");
  if (detail && element.dataset.text !== detail) {
    element.dataset.text = detail; // most calls change nothing: leave the document alone then
    write(element, detail);
  }
}

function showToken({ value, expires }) {
  shownToken = { prefix: value.startsWith(TOKEN_PREFIX) ? `\`${TOKEN_PREFIX}…\`\n` : "", expires };
  tick();
}

const announce = (text) => { ui.announcer.textContent = text; };

function explain(failure) {
  const title = document.createElement("strong");
  const advice = document.createElement("p");
  title.textContent = failure.message;
  write(advice, failure.advice ?? "");
  const atEnd = transcript.atEnd();
  ui.notice.replaceChildren(title, advice); // takes room from the transcript
  transcript.follow(atEnd);
  reveal();
}

/** On a phone the panel may be below the fold. */
function reveal() {
  ui.panel.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
}

/** Which controls are there: "ready" to start, "connecting" or "talking". */
function show(phase) {
  const busy = phase !== "ready";
  ui.panel.dataset.phase = phase;
  ui.start.hidden = busy;
  ui.composer.hidden = ui.end.hidden = !busy;
  ui.end.textContent = phase === "connecting" ? "Cancel" : "End";
  ui.line.disabled = ui.send.disabled = phase !== "talking";
  ui.line.placeholder = phase === "talking" ? "Write something" : "Connecting…";
}

async function start() {
  const call = { abort: new AbortController(), player: createPlayer() }; // sound needs the click
  current = call;
  transcript.clear();
  ui.notice.replaceChildren();
  step("conversation", "idle", "Text and sound, as they come");
  show("connecting");
  ui.end.focus({ preventScroll: true });
  reveal();
  announce("Connecting");
  try {
    call.socket = await connect(call.abort.signal);
  } catch (error) {
    if (call.abort.signal.aborted) return; // hangUp() has tidied up
    finish(call);
    fail(error);
    return;
  }
  show("talking");
  announce("The conversation has started");
  converse(call);
  reveal();
  // Where there is a touch keyboard it would cover the conversation, so there it waits to be asked for.
  if (matchMedia("(pointer: fine)").matches && document.activeElement === ui.end) ui.line.focus({ preventScroll: true });
  animate(call);
}

function fail(error) {
  // A failure of this conversation's token or of the connection it was to open
  if (shownToken) step("connection", "failed", "Not opened");
  else step("token", "failed", error.status ? `No token: status ${error.status}` : "No token");
  if (!(error instanceof Failure)) {
    console.error(error); // a mistake of this page, so leave a trace for whoever mends it
    error = new Failure("Something unexpected went wrong", `The browser says: ${error.message}`);
  }
  pausedUntil = performance.now() + error.retryAfter * 1000;
  startLabel = "Try again";
  tick();
  explain(error);
}

/** The person has had enough. */
function hangUp() {
  const call = current;
  if (call.socket) call.socket.onclose = null;
  call.abort.abort();
  ui.notice.replaceChildren();
  finish(call);
  announce(call.socket ? "The conversation has ended" : "Cancelled");
}

function finish(call, outcome = "done") {
  const hadFocus = ui.panel.contains(document.activeElement);
  current = null;
  call.socket?.close();
  call.player?.close();
  ui.orb.style.removeProperty("--level");
  startLabel = call.socket ? "Start a new conversation" : "Start a conversation";
  if (call.socket) {
    step("connection", outcome, outcome === "done" ? "Closed" : "Lost");
    step("conversation", outcome, `Ended after ${clock((performance.now() - call.since) / 1000)}`);
  } else if (call.abort.signal.aborted) {
    for (const name of ["token", "connection"]) step(name, "idle", "Cancelled");
    shownToken = null;
  }
  show("ready");
  tick();
  if (hadFocus) ui.start.focus({ preventScroll: true });
}

/** Whose turn it is, and a circle that moves with the agent's voice. */
function animate(call) {
  if (call !== current) return;
  const speaking = call.player?.playing || (call.answering && call.spoke);
  step("conversation", "active", speaking ? "The agent is speaking" : call.answering ? "The agent is thinking" : "Your turn");
  ui.orb.style.setProperty("--level", calm.matches || !call.player ? 0 : call.player.level.toFixed(2));
  requestAnimationFrame(() => animate(call));
}

/** What changes with time alone: the token's lifetime, and the pause before another attempt. */
function tick() {
  if (shownToken) {
    const left = (shownToken.expires - performance.now()) / 1000;
    const lifetime = Number.isNaN(left) ? "" : left > 0 ? `expires in ${clock(left)}` : "expired";
    // Expiry bounds the time to connect. A session that is open goes on.
    const used = shownToken.used ? (left > 0 ? "used, " : "used, now ") : "";
    step("token", "done", `${shownToken.prefix}${used}${lifetime}`);
  }
  const pause = Math.ceil((pausedUntil - performance.now()) / 1000);
  // aria-disabled keeps the keyboard focus where it is, which disabled would lose.
  ui.start.setAttribute("aria-disabled", pause > 0);
  ui.start.textContent = pause > 0 ? `Try again in ${pause < 100 ? `${pause} s` : clock(pause)}` : startLabel;
}

ui.start.addEventListener("click", (event) => {
  // A double click must not start twice; a pause the server asked for is to be kept.
  if (event.detail > 1 || current || performance.now() < pausedUntil) return;
  start();
});
ui.end.addEventListener("click", (event) => {
  if (event.detail <= 1 && current) hangUp();
});
ui.mute.addEventListener("click", () => {
  muted = !muted;
  ui.mute.setAttribute("aria-pressed", muted);
  current?.player?.mute(muted);
});
ui.composer.addEventListener("submit", (event) => {
  event.preventDefault(); // also what makes the Enter key work
  const text = ui.line.value.trim();
  if (!text || !current?.socket) return;
  ui.line.value = "";
  ui.notice.replaceChildren();
  say(current, text);
});

ui.place.textContent = isSandbox ? "Sandbox: no key, no bill" : place.host;
$("not-running").remove();
ui.start.disabled = false;
setInterval(tick, 500);
show("ready");

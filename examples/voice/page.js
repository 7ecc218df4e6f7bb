// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// The parts of the page, and how each is shown. What happens when is decided in app.js.

import { Meter } from "./meter.js";
import { Transcript } from "./transcript.js";

const $ = (id) => document.getElementById(id);

export const ui = Object.fromEntries([
  "talk", "type", "microphone", "sound", "end", "starting", "running", "composer", "line", "send",
].map((id) => [id, $(id)]));

export const meter = new Meter($("disc"), $("level"));
export const transcript = new Transcript($("transcript"), $("scroller"));

/** Leaves the document alone where nothing changes: most calls change nothing. */
export function write(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

/** Which controls are there: "ready" or "failed" to start, "connecting" or "talking". */
export function show(phase, state, detail) {
  const busy = phase === "connecting" || phase === "talking";
  const hadFocus = ui.running.contains(document.activeElement);
  document.body.dataset.phase = phase;
  ui.starting.hidden = busy;
  ui.running.hidden = !busy;
  ui.end.textContent = phase === "connecting" ? "Cancel" : "End";
  ui.line.placeholder = { connecting: "Connecting…", talking: "Write something" }[phase] ?? "Type to start";
  write("state", state);
  write("detail", detail);
  if (!busy && hadFocus) ui.talk.focus({ preventScroll: true }); // what had it is gone
}

/** From here on a click does something. */
export function enable() {
  for (const control of [ui.talk, ui.type, ui.line, ui.send]) control.disabled = false;
}

/** A failure: what happened, what to do, and folded away what whoever runs the site can do. */
export function explain({ message, advice, hint }) {
  const title = document.createElement("strong");
  title.textContent = message;
  const text = document.createElement("p");
  text.textContent = advice;
  const parts = [title, text];
  if (hint) {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    const more = document.createElement("p");
    summary.textContent = "For whoever runs this site";
    more.textContent = hint;
    details.append(summary, more);
    parts.push(details);
  }
  keepPlace(() => $("notice").replaceChildren(...parts));
}

export function clearNotice() {
  keepPlace(() => $("notice").replaceChildren());
}

/** The notice takes room from the transcript, whose newest line is to stay in sight. */
function keepPlace(change) {
  const atEnd = transcript.atEnd();
  change();
  transcript.stay(atEnd);
}

export const announce = (text) => write("announcer", text);

export function press(button, pressed) {
  button.setAttribute("aria-pressed", pressed);
}

/** Buttons that have to wait. aria-disabled keeps the keyboard's focus, which disabled would lose. */
export function pause(seconds) {
  for (const button of [ui.talk, ui.type, ui.send]) button.setAttribute("aria-disabled", seconds > 0);
  write("talk", seconds > 0 ? `Try again in ${seconds < 100 ? `${seconds} s` : clock(seconds)}` : "Start talking");
}

export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

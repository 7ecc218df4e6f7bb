// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// What both sides said, one line for each item of the conversation.

const SPEAKERS = { user: "You", agent: "Agent" };

export class Transcript {
  #list;
  #scroller;
  #texts = new Map(); // the element with an item's text, by the item's id
  #height; // of the scroller, as it was last

  constructor(list, scroller) {
    this.#list = list;
    this.#scroller = scroller;
    this.#height = scroller.clientHeight;
    new ResizeObserver(() => this.#resized()).observe(scroller);
  }

  /** Adds a line that is complete. */
  add(role, text) {
    this.#add(role).textContent = text;
    this.stay(true);
  }

  /** Keeps a place for words that have not come yet. */
  hold(role, id) {
    const atEnd = this.atEnd();
    const text = this.#text(role, id);
    if (!text.textContent) text.textContent = "…";
    this.stay(atEnd);
  }

  append(role, id, words) {
    const atEnd = this.atEnd();
    this.#text(role, id).append(words ?? "");
    this.stay(atEnd);
  }

  replace(role, id, words) {
    const atEnd = this.atEnd();
    this.#text(role, id).textContent = words ?? "";
    this.stay(atEnd);
  }

  /** Marks a line whose speaker did not get to its end. */
  interrupt(id) {
    this.#texts.get(id)?.closest("li").classList.add("interrupted");
  }

  text(id) {
    return this.#texts.get(id)?.textContent ?? "";
  }

  clear() {
    this.#texts.clear();
    this.#list.replaceChildren();
  }

  // The newest line stays in sight, unless the person has scrolled back to read.
  atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < 48;
  }

  stay(atEnd) {
    if (atEnd) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  // A phone's keyboard takes room, too. Whether the newest line was in sight depends on the height before.
  #resized() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    const before = this.#height;
    this.#height = clientHeight;
    this.stay(scrollHeight - scrollTop - before < 48);
  }

  #text(role, id) {
    if (!this.#texts.has(id)) this.#texts.set(id, this.#add(role));
    return this.#texts.get(id);
  }

  #add(role) {
    const item = document.createElement("li");
    const speaker = document.createElement("span");
    const text = document.createElement("p");
    item.className = role;
    speaker.className = "speaker";
    speaker.textContent = SPEAKERS[role];
    item.append(speaker, text);
    this.#list.append(item);
    return text;
  }
}

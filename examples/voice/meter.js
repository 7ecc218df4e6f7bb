// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// The disc whose bars move with the voice of whoever speaks, and the bar of the microphone's level.

const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const CALM_PACE = 400; // ms between two changes for people who do not want motion

const QUIET = -50; // dB below full scale, where the bars begin to move
const LOUD = -10; // where they are at their highest

/** People hear loudness in steps of decibels, so that is how the bars grow. From 0 to 1. */
const height = (loudness) => Math.min(1, Math.max(0, (20 * Math.log10(loudness) - QUIET) / (LOUD - QUIET)));

export class Meter {
  #disc;
  #bars;
  #level;
  #levels = [0, 0, 0]; // of this frame, and of some before: a loud moment runs from the middle outwards
  #drawn = 0;

  constructor(disc, level) {
    this.#disc = disc;
    this.#bars = [...disc.children];
    this.#level = level;
  }

  /** Whose turn it is: "user", "agent", "thinking" or "nobody"; and how loud both are. */
  show(turn, { user, agent }) {
    if (this.#disc.dataset.turn !== turn) this.#disc.dataset.turn = turn;
    const now = performance.now();
    if (CALM.matches && now - this.#drawn < CALM_PACE) return;
    this.#drawn = now;

    const level = height(turn === "agent" ? agent : user);
    const [newest, older] = this.#levels;
    this.#draw(CALM.matches ? [level, level, level] : [newest + (level - newest) * 0.5, newest, older], height(user));
  }

  /** The call is over. */
  rest() {
    this.#disc.dataset.turn = "nobody";
    this.#draw([0, 0, 0], 0);
  }

  #draw(levels, user) {
    this.#levels = levels;
    const middle = (this.#bars.length - 1) / 2;
    this.#bars.forEach((bar, index) => {
      const distance = Math.abs(index - middle);
      bar.style.setProperty("--level", (levels[distance] * (1 - distance * 0.22)).toFixed(3));
    });
    this.#level.style.setProperty("--level", user.toFixed(3));
    const percent = String(Math.round(user * 10) * 10); // coarse, so that the document rarely changes
    if (this.#level.ariaValueNow !== percent) this.#level.ariaValueNow = percent;
  }
}

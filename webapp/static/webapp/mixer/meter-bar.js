/** Bars for levels, with peak hold, and the limiter's gain reduction. */

import { gainToDb } from "../audio/mix-law.js";
import { find, write } from "../lib/dom.js";
import { decibels } from "../lib/format.js";

/** @typedef {import("../audio/nodes/level-meter.js").Level} Level */

/** Lower end of the level meters. */
const FLOOR_DB = -54;
/** A peak stays this long, then falls, milliseconds and dB a second. */
const HOLD = 1500;
const FALL = 24;
/** Upper end of the reduction meter. */
const MOST_REDUCTION_DB = 12;
/** Digits that people can read change no oftener than this, milliseconds. */
const READABLE = 250;

export const SILENCE = Object.freeze({ rms: 0, peak: 0 });

export class MeterBar {
  #heldDb = -Infinity;
  #heldAt = 0;

  /** @param {HTMLElement} root holds .meter, with a bar and a mark */
  constructor(root) {
    this.bar = find(root, ".meter .bar");
    this.mark = find(root, ".meter .peak");
  }

  /** @param {Readonly<Level>} level @param {number} now milliseconds */
  show({ rms, peak }, now) {
    this.bar.style.transform = `scaleX(${share(gainToDb(rms))})`;
    const db = this.#held(gainToDb(peak), now);
    this.mark.style.transform = `translateX(${100 * (share(db) - 1)}%)`; // of its own width, the meter's: nothing is laid out anew
    this.mark.classList.toggle("over", db > 0);
  }

  /** Nothing sounds, and nothing is held. */
  clear() {
    this.#heldDb = -Infinity;
    this.show(SILENCE, 0);
  }

  /** @param {number} db @param {number} now */
  #held(db, now) {
    const fallen = this.#heldDb - (FALL * Math.max(0, now - this.#heldAt - HOLD)) / 1000;
    if (db < fallen) return fallen;
    this.#heldDb = db;
    this.#heldAt = now;
    return db;
  }
}

/** By how much the limiter lowers what is heard. */
export class ReductionMeter {
  #worst = 0;
  #written = 0;

  /** @param {HTMLElement} root a role="meter" with a bar and an output */
  constructor(root) {
    this.root = root;
  }

  /** @param {number} db at least 0 @param {number} now milliseconds */
  show(db, now) {
    find(this.root, ".bar").style.transform = `scaleX(${Math.min(1, db / MOST_REDUCTION_DB)})`;
    this.#worst = Math.max(this.#worst, db);
    if (now - this.#written < READABLE) return;
    const text = this.#worst < 0.05 ? decibels(0) : `−${decibels(this.#worst)}`;
    write(find(this.root, "output"), text);
    this.root.ariaValueNow = Math.min(this.#worst, MOST_REDUCTION_DB).toFixed(1);
    this.root.ariaValueText = text;
    this.#worst = 0;
    this.#written = now;
  }

  clear() {
    this.#worst = 0;
    this.#written = -Infinity;
    this.show(0, 0);
  }
}

/** @param {number} db @returns {number} of a meter's length, 0 to 1 */
const share = (db) => Math.min(1, Math.max(0, 1 - db / FLOOR_DB));

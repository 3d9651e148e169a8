/** Level meters with peak hold, and the meter of the limiter's gain reduction. */

import { gainToDb } from "../audio/mix-law.js";
import { find, write } from "../lib/dom.js";
import { decibels } from "../lib/format.js";

/** @typedef {import("../audio/nodes/level-meter.js").Level} Level */

/** Lower end of the level meters. */
const FLOOR_DB = -54;
/** A peak is held for this many milliseconds, then falls by this many dB per second. */
const PEAK_HOLD = 1500;
const PEAK_FALL = 24;
/** Upper end of the reduction meter. */
const MAX_REDUCTION_DB = 12;
/** Text is updated at most this often so that it stays readable, milliseconds. */
const TEXT_INTERVAL = 250;

export const SILENCE = Object.freeze({ rms: 0, peak: 0 });

export class MeterBar {
  #peakDb = -Infinity;
  #peakAt = 0;

  /** @param {HTMLElement} root holds .meter, with a bar and a mark */
  constructor(root) {
    this.bar = find(root, ".meter .bar");
    this.mark = find(root, ".meter .peak");
  }

  /** @param {Readonly<Level>} level @param {number} now milliseconds */
  show({ rms, peak }, now) {
    this.bar.style.transform = `scaleX(${share(gainToDb(rms))})`;
    const db = this.#heldPeak(gainToDb(peak), now);
    // Relative to the mark's own width, which is the meter's: this causes no layout.
    this.mark.style.transform = `translateX(${100 * (share(db) - 1)}%)`;
    this.mark.classList.toggle("over", db > 0);
  }

  /** Drops to silence, without peak hold. */
  clear() {
    this.#peakDb = -Infinity;
    this.show(SILENCE, 0);
  }

  /** @param {number} db @param {number} now */
  #heldPeak(db, now) {
    const fallen = this.#peakDb - (PEAK_FALL * Math.max(0, now - this.#peakAt - PEAK_HOLD)) / 1000;
    if (db < fallen) return fallen;
    this.#peakDb = db;
    this.#peakAt = now;
    return db;
  }
}

/** Shows the limiter's gain reduction. */
export class ReductionMeter {
  #maxDb = 0;
  #writtenAt = 0;

  /** @param {HTMLElement} root a role="meter" with a bar and an output */
  constructor(root) {
    this.root = root;
  }

  /** @param {number} db at least 0 @param {number} now milliseconds */
  show(db, now) {
    find(this.root, ".bar").style.transform = `scaleX(${Math.min(1, db / MAX_REDUCTION_DB)})`;
    this.#maxDb = Math.max(this.#maxDb, db);
    if (now - this.#writtenAt < TEXT_INTERVAL) return;
    const text = this.#maxDb < 0.05 ? decibels(0) : `−${decibels(this.#maxDb)}`;
    write(find(this.root, "output"), text);
    this.root.ariaValueNow = Math.min(this.#maxDb, MAX_REDUCTION_DB).toFixed(1);
    this.root.ariaValueText = text;
    this.#maxDb = 0;
    this.#writtenAt = now;
  }

  clear() {
    this.#maxDb = 0;
    this.#writtenAt = -Infinity;
    this.show(0, 0);
  }
}

/** @param {number} db @returns {number} fraction of the meter's length, 0 to 1 */
const share = (db) => Math.min(1, Math.max(0, 1 - db / FLOOR_DB));

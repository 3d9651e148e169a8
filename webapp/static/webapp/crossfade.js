/** Between the stems and the original: both run side by side, and one of them is heard. */

import { RAMP, approach } from "./ramp.js";

/** @typedef {"stems" | "original"} Sounding */

export class Crossfade {
  /** @param {BaseAudioContext} context @param {AudioNode} output */
  constructor(context, output) {
    this.stems = new GainNode(context);
    this.original = new GainNode(context, { gain: 0 });
    this.stems.connect(output);
    this.original.connect(output);
  }

  /**
   * Forgets all that was planned from shortly before `time` on.
   * The stems may be missing on the original's side of a change, so the change happens on their side.
   * @param {Sounding} sounding what is heard from then on @param {number} time
   */
  change(sounding, time) {
    const begin = sounding === "stems" ? time : Math.max(0, time - RAMP);
    approach(this.stems.gain, sounding === "stems" ? 1 : 0, begin);
    approach(this.original.gain, sounding === "original" ? 1 : 0, begin);
  }
}

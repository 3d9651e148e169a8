/** Between the stems and the original: both run side by side, and one of them is heard. */

import { approach } from "./ramp.js";

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
   * Forgets what was planned from then on.
   * @param {Sounding} sounding what is heard afterwards
   * @param {number} fadeIn time at which it begins to come @param {number} fadeOut time at which the other begins to go
   */
  change(sounding, fadeIn, fadeOut) {
    const [coming, going] = sounding === "stems" ? [this.stems, this.original] : [this.original, this.stems];
    approach(coming.gain, 1, Math.max(0, fadeIn));
    approach(going.gain, 0, Math.max(0, fadeOut));
  }
}

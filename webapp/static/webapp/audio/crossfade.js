/** Between the stems, their draft and the original: they run side by side, and one of them is heard. */

import { approach } from "./nodes/param-ramp.js";

/** @typedef {"stems" | "draft" | "original"} Sounding */

export class Crossfade {
  /** @type {Record<Sounding, GainNode[]>} */
  #gains = { stems: [], draft: [], original: [] };
  /** @type {Sounding} */
  #sounding = "stems";

  /** @param {BaseAudioContext} context */
  constructor(context) {
    this.context = context;
  }

  /** Where sources go that belong to one of the three. @param {Sounding} sounding which @param {AudioNode} output @returns {AudioNode} */
  input(sounding, output) {
    const node = new GainNode(this.context, { gain: sounding === this.#sounding ? 1 : 0 });
    this.#gains[sounding].push(node);
    node.connect(output);
    return node;
  }

  /**
   * Forgets what was planned from then on.
   * @param {Sounding} sounding what is heard afterwards
   * @param {number} fadeIn time at which it begins to come @param {number} fadeOut time at which the others begin to go
   */
  change(sounding, fadeIn, fadeOut) {
    this.#sounding = sounding;
    for (const [each, nodes] of Object.entries(this.#gains)) {
      const [level, time] = each === sounding ? [1, fadeIn] : [0, fadeOut];
      for (const { gain } of nodes) approach(gain, level, Math.max(0, time));
    }
  }
}

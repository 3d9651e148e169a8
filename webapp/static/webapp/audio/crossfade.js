/** Crossfades between the stems, their draft and the original, which run in parallel while one of them is audible. */

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

  /**
   * Creates an input for sources of one of the three.
   * @param {Sounding} sounding
   * @param {AudioNode} output
   * @returns {AudioNode}
   */
  input(sounding, output) {
    const node = new GainNode(this.context, { gain: sounding === this.#sounding ? 1 : 0 });
    this.#gains[sounding].push(node);
    node.connect(output);
    return node;
  }

  /**
   * Replaces fades that are scheduled for later.
   * @param {Sounding} sounding what is audible afterwards
   * @param {number} fadeIn time at which its fade-in begins
   * @param {number} fadeOut time at which the others' fade-out begins
   */
  change(sounding, fadeIn, fadeOut) {
    this.#sounding = sounding;
    for (const [each, nodes] of Object.entries(this.#gains)) {
      const [level, time] = each === sounding ? [1, fadeIn] : [0, fadeOut];
      for (const { gain } of nodes) approach(gain, level, Math.max(0, time));
    }
  }
}

/** One lane of the mixer in the audio graph: gain, pan, level. */

import { Meter } from "./level.js";

export class Strip {
  /** @param {BaseAudioContext} context @param {AudioNode} output @param {number} gain to begin with */
  constructor(context, output, gain) {
    this.gain = new GainNode(context, { gain });
    this.pan = new StereoPannerNode(context);
    this.meter = new Meter(context);
    this.gain.connect(this.pan).connect(output);
    this.pan.connect(this.meter.input);
  }

  /** Where sources go. */
  get input() {
    return this.gain;
  }
}

/** One lane of the mixer in the audio graph: gain, pan, level. */

import { LevelMeter } from "./level-meter.js";

export class ChannelStrip {
  /** @param {BaseAudioContext} context @param {AudioNode} output @param {number} gain to begin with */
  constructor(context, output, gain) {
    this.gain = new GainNode(context, { gain });
    this.pan = new StereoPannerNode(context);
    this.meter = new LevelMeter(context);
    this.gain.connect(this.pan).connect(output);
    this.pan.connect(this.meter.input);
  }

  /** Where sources go. */
  get input() {
    return this.gain;
  }
}

/** A lane's channel strip in the audio graph: gain, pan and level meter. */

import { LevelMeter } from "./level-meter.js";

export class ChannelStrip {
  /** @param {BaseAudioContext} context @param {AudioNode} output @param {number} gain initial gain */
  constructor(context, output, gain) {
    this.gain = new GainNode(context, { gain });
    this.pan = new StereoPannerNode(context);
    this.meter = new LevelMeter(context);
    this.gain.connect(this.pan).connect(output);
    this.pan.connect(this.meter.input);
  }

  /** Input for sources. */
  get input() {
    return this.gain;
  }
}

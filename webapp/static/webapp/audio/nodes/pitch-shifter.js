/**
 * Shifts the pitch of the whole mix with the Signalsmith Stretch library: a single AudioWorklet, so that stems stay in
 * phase.
 * It is loaded on first use. For the tempo, sources play faster or slower, and this corrects their pitch.
 */

const LIBRARY = new URL("../../../vendor/signalsmith/SignalsmithStretch.mjs", import.meta.url).href;

/** @typedef {AudioNode & {latency(): Promise<number>, schedule(change: object): Promise<object>}} StretchNode */

export class PitchShifter {
  /** @param {StretchNode} node @param {number} latency seconds from its input to its output */
  constructor(node, latency) {
    this.node = node;
    this.latency = latency;
  }

  /**
   * Loads the worklet from its own file instead of a Blob, as a strict content security policy requires.
   * @param {BaseAudioContext} context @returns {Promise<PitchShifter>}
   */
  static async load(context) {
    const { default: createNode } = await import("../../../vendor/signalsmith/SignalsmithStretch.mjs");
    createNode.moduleUrl = LIBRARY;
    const node = await createNode(context, { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [2] });
    return new PitchShifter(node, await node.latency());
  }

  /** @param {number} semitones @param {number} time at which the sound that it is meant for enters */
  shift(semitones, time) {
    void this.node.schedule({ output: time + this.latency, active: true, semitones });
  }

  /** Stops processing until it is used again. */
  rest() {
    void this.node.schedule({ active: false });
  }
}

/**
 * Another pitch for the whole mix, by the Signalsmith Stretch library: one AudioWorklet, so that stems stay in phase.
 * It is fetched when it is first needed. Tempo is the sources' own: they play faster or slower, and this takes back the pitch.
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
   * Loaded from its own file, not from a Blob as the library would: a strict content security policy allows that.
   * @param {BaseAudioContext} context @returns {Promise<PitchShifter>}
   */
  static async load(context) {
    const { default: createNode } = await import("../../../vendor/signalsmith/SignalsmithStretch.mjs");
    createNode.moduleUrl = LIBRARY;
    const node = await createNode(context, { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [2] });
    return new PitchShifter(node, await node.latency());
  }

  /** @param {number} semitones @param {number} time when what it is meant for comes in */
  shift(semitones, time) {
    void this.node.schedule({ output: time + this.latency, active: true, semitones });
  }

  /** Costs nothing until it is used again. */
  rest() {
    void this.node.schedule({ active: false });
  }
}

/**
 * The master bus, from the strips and the original to the output:
 *
 *   input ---------------> direct -\
 *   input -> stretcher ---> shaped --> gate -> master -> limiter -> destination, meter
 *
 * The gate opens and closes around play, pause and seek. The signal is shaped only while tempo or pitch are changed.
 * Without AudioWorklet (plain HTTP from another machine) it plays directly, without a limiter.
 */

import { gainToDb } from "../mix-law.js";
import { LevelMeter } from "./level-meter.js";
import { LOOKAHEAD } from "./limiter.js";
import { fadeOut, jump, RAMP } from "./param-ramp.js";
import { PitchShifter } from "./pitch-shifter.js";

const LIMITER = new URL("./limiter-worklet.js", import.meta.url);

export class MasterBus {
  /** @type {AudioWorkletNode | null} */
  #limiter = null;
  /** @type {PitchShifter | null} */
  #stretcher = null;
  /** @type {Promise<void> | null} */
  #stretcherLoading = null;
  #limited = true;
  #shaping = false;
  #semitones = 0;
  /** Whether the stretcher is connected. */
  #connected = false;
  #least = 1;
  #lastLeast = 1;

  /**
   * @param {BaseAudioContext} context
   * @param {() => void} onChange called when something has been loaded or has failed to load
   */
  constructor(context, onChange) {
    this.context = context;
    this.onChange = onChange;
    /** Whether limiter, tempo and pitch are available. */
    this.canProcess = "audioWorklet" in context;
    this.input = new GainNode(context);
    this.direct = new GainNode(context);
    this.shaped = new GainNode(context, { gain: 0 });
    this.gate = new GainNode(context, { gain: 0 });
    this.master = new GainNode(context);
    this.meter = new LevelMeter(context);
    this.input.connect(this.direct).connect(this.gate).connect(this.master);
    this.shaped.connect(this.gate);
    this.#finish(this.master);
    /** Settles once the limiter is in place or known to be unavailable. */
    this.loaded = this.canProcess ? this.#load(() => this.#insertLimiter()) : Promise.resolve();
  }

  /** Delay from input to output, seconds. */
  get latency() {
    return (this.#limiter ? LOOKAHEAD / this.context.sampleRate : 0) + this.#shapingLatency;
  }

  /** Whether everything that the current settings need is loaded. */
  get ready() {
    return (!this.canProcess || this.#limiter !== null) && (!this.#shaping || this.#stretcher !== null);
  }

  /** The limiter's greatest gain reduction since the last call, dB. */
  reduction() {
    const least = this.#least;
    this.#least = this.#lastLeast;
    return least < 1 ? -gainToDb(least) : 0;
  }

  /** @param {boolean} on */
  limit(on) {
    this.#limited = on;
    this.#limiter?.parameters.get("on")?.setValueAtTime(on ? 1 : 0, this.context.currentTime);
  }

  /**
   * Turns shaping on or off. This affects `ready` and `latency` at once, but the signal is rerouted only when the gate
   * next opens.
   * @param {boolean} on @param {number} semitones
   */
  shape(on, semitones) {
    this.#shaping = on;
    this.#semitones = semitones;
    if (on) this.#stretcherLoading ??= this.#load(() => this.#loadStretcher());
  }

  /** Settles once everything that the current settings need is loaded. */
  async settled() {
    await this.loaded;
    await this.#stretcherLoading;
  }

  /** Applies the current shape. @param {number} time at which the sound that it is meant for enters */
  shift(time) {
    if (this.#shaping) this.#stretcher?.shift(this.#semitones, time);
  }

  /** @param {number} time at which sound enters @param {boolean} fade */
  open(time, fade) {
    jump(this.direct.gain, this.#shaping ? 0 : 1, time);
    jump(this.shaped.gain, this.#shaping ? 1 : 0, time);
    this.#connectStretcher();
    const out = time + this.#shapingLatency;
    this.gate.gain.setValueAtTime(fade ? 0 : 1, out);
    this.gate.gain.linearRampToValueAtTime(1, out + RAMP);
  }

  /** @param {number} now */
  close(now) {
    fadeOut(this.gate.gain, now);
  }

  get #shapingLatency() {
    return this.#shaping ? (this.#stretcher?.latency ?? 0) : 0;
  }

  #connectStretcher() {
    if (!this.#stretcher || this.#shaping === this.#connected) return;
    this.#connected = this.#shaping;
    if (this.#shaping) this.input.connect(this.#stretcher.node);
    else {
      this.input.disconnect(this.#stretcher.node);
      this.#stretcher.rest();
    }
  }

  /** @param {() => Promise<void>} part */
  async #load(part) {
    try {
      await part();
    } catch {
      this.canProcess = false;
      this.#shaping = false;
    }
    this.onChange();
  }

  async #insertLimiter() {
    await this.context.audioWorklet.addModule(LIMITER);
    const limiter = new AudioWorkletNode(this.context, "limiter", {
      channelCount: 2,
      channelCountMode: "explicit",
      outputChannelCount: [2],
      parameterData: { on: this.#limited ? 1 : 0 },
    });
    limiter.port.onmessage = ({ data }) => this.#onReduced(data);
    this.master.disconnect();
    this.#finish(this.master.connect(limiter));
    this.#limiter = limiter;
  }

  async #loadStretcher() {
    this.#stretcher = await PitchShifter.load(this.context);
    this.#stretcher.node.connect(this.shaped);
  }

  /** @param {number} least gain since the last report */
  #onReduced(least) {
    this.#lastLeast = least;
    this.#least = Math.min(this.#least, least);
  }

  /** @param {AudioNode} last */
  #finish(last) {
    last.connect(this.context.destination);
    last.connect(this.meter.input);
  }
}

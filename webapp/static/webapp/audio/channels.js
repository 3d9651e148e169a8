/** The channels: settings of faders, pans, mutes and solos, and the strips of the audio graph that apply them. */

import { dbToGain, laneGains, matchedGain } from "./mix-law.js";
import { ChannelStrip } from "./nodes/channel-strip.js";
import { approach, jump } from "./nodes/param-ramp.js";

/** @typedef {import("./mix-law.js").Lane} Lane */

export class Channels {
  /** @type {Lane[]} */
  #lanes = [];
  /** @type {ChannelStrip[]} */
  #strips = [];
  #masterDb = 0;
  /** @type {Readonly<Record<string, number>>} */
  #energies = {};

  /**
   * @param {BaseAudioContext} context
   * @param {number} gain factor that brings segments to their true level
   * @param {import("./crossfade.js").Crossfade} crossfade between stems, draft and original
   * @param {import("./nodes/master-bus.js").MasterBus} bus that all channels feed
   */
  constructor(context, gain, crossfade, bus) {
    this.context = context;
    this.gain = gain;
    this.crossfade = crossfade;
    this.bus = bus;
    this.original = new GainNode(context, { gain });
    this.original.connect(bus.input);
    /**
     * Inputs for sources; those of lanes in lane order.
     * @type {Record<import("./crossfade.js").Sounding, readonly AudioNode[]>}
     */
    this.inputs = { stems: [], draft: [], original: [crossfade.input("original", this.original)] };
  }

  /** @returns {readonly Readonly<Lane>[]} */
  get lanes() {
    return this.#lanes;
  }

  get masterDb() {
    return this.#masterDb;
  }

  /** Call once. @param {readonly string[]} names of the lanes */
  addLanes(names) {
    this.#lanes = names.map((name) => ({ name, db: 0, pan: 0, mute: false, solo: false }));
    this.#strips = names.map(() => new ChannelStrip(this.context, this.bus.input, this.gain));
    const inputs = (/** @type {"stems" | "draft"} */ which) =>
      this.#strips.map(({ input }) => this.crossfade.input(which, input));
    this.inputs = { ...this.inputs, stems: inputs("stems"), draft: inputs("draft") };
  }

  /** @param {string} name @param {Partial<Omit<Lane, "name">>} change */
  setLane(name, change) {
    this.#lanes = this.#lanes.map((lane) => (lane.name === name ? { ...lane, ...change } : lane));
  }

  /** Solos add up unless `only` is true. @param {string} name @param {boolean} solo @param {boolean} only */
  setSolo(name, solo, only) {
    this.#lanes = this.#lanes.map((lane) => {
      if (lane.name === name) return { ...lane, solo };
      return only ? { ...lane, solo: false } : lane;
    });
  }

  /** @param {number} db */
  setMaster(db) {
    this.#masterDb = db;
  }

  /** @param {Readonly<Record<string, number>>} energies of the stems, in any unit */
  setEnergies(energies) {
    this.#energies = energies;
  }

  /**
   * Applies the settings to the graph.
   * @param {boolean} sounding whether something plays, so that a step would click
   */
  apply(sounding) {
    const now = this.context.currentTime;
    const move = sounding ? approach : jump;
    laneGains(this.#lanes).forEach((gain, index) => {
      move(this.#strips[index].gain.gain, gain * this.gain, now);
      move(this.#strips[index].pan.pan, this.#lanes[index].pan, now);
    });
    move(this.original.gain, matchedGain(this.#lanes, this.#energies) * this.gain, now);
    move(this.bus.master.gain, dbToGain(this.#masterDb), now);
  }

  /** @returns {Record<string, import("./nodes/level-meter.js").Level>} of each lane, after fader and pan */
  levels() {
    return Object.fromEntries(this.#lanes.map(({ name }, index) => [name, this.#strips[index].meter.level()]));
  }
}

/** The mixing desk: what is done at faders, pans, mutes and solos, and the strips of the audio graph that carry it out. */

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
   * @param {number} gain what segments must be multiplied by to be at their true level
   * @param {import("./crossfade.js").Crossfade} crossfade what comes in by
   * @param {import("./nodes/master-bus.js").MasterBus} bus where all of it goes
   */
  constructor(context, gain, crossfade, bus) {
    this.context = context;
    this.gain = gain;
    this.crossfade = crossfade;
    this.bus = bus;
    this.original = new GainNode(context, { gain });
    this.original.connect(bus.input);
    /** Where sources go; those of the lanes in their order. @type {Record<import("./crossfade.js").Sounding, readonly AudioNode[]>} */
    this.inputs = { stems: [], draft: [], original: [crossfade.input("original", this.original)] };
  }

  /** @returns {readonly Readonly<Lane>[]} */
  get lanes() {
    return this.#lanes;
  }

  get masterDb() {
    return this.#masterDb;
  }

  /** Once. @param {readonly string[]} names of the lanes */
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

  /** Solo adds up, unless it is to be the only one. @param {string} name @param {boolean} solo @param {boolean} only */
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

  /** Brings the graph in line with what has been set. @param {boolean} sounding whether that could click */
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

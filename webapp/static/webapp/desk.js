/** The mixing desk: what is done at faders, pans, mutes and solos, and the strips of the audio graph that carry it out. */

import { dbToGain, laneGains, matchedGain } from "./gain.js";
import { approach, jump } from "./ramp.js";
import { Strip } from "./strip.js";

/** @typedef {import("./gain.js").Lane} Lane */

export class Desk {
  /** @type {Lane[]} */
  #lanes = [];
  /** @type {Strip[]} */
  #strips = [];
  #masterDb = 0;
  /** @type {Readonly<Record<string, number>>} */
  #energies = {};

  /**
   * @param {BaseAudioContext} context
   * @param {number} gain what segments must be multiplied by to be at their true level
   * @param {import("./crossfade.js").Crossfade} crossfade where stems and original go
   * @param {AudioParam} master
   */
  constructor(context, gain, crossfade, master) {
    this.context = context;
    this.gain = gain;
    this.crossfade = crossfade;
    this.master = master;
    /** Where the original goes. */
    this.original = new GainNode(context, { gain });
    this.original.connect(crossfade.original);
  }

  /** @returns {readonly Readonly<Lane>[]} */
  get lanes() {
    return this.#lanes;
  }

  get masterDb() {
    return this.#masterDb;
  }

  /** Where the lanes' sources go, in their order. */
  get inputs() {
    return this.#strips.map(({ input }) => input);
  }

  /** Once. @param {readonly string[]} names of the lanes */
  addLanes(names) {
    this.#lanes = names.map((name) => ({ name, db: 0, pan: 0, mute: false, solo: false }));
    this.#strips = names.map(() => new Strip(this.context, this.crossfade.stems, this.gain));
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
    move(this.master, dbToGain(this.#masterDb), now);
  }

  /** @returns {Record<string, import("./level.js").Level>} of each lane, after fader and pan */
  levels() {
    return Object.fromEntries(this.#lanes.map(({ name }, index) => [name, this.#strips[index].meter.level()]));
  }
}

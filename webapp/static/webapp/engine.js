/**
 * The audio engine: stems in, sound out, no DOM.
 *
 *   segments -> source nodes -> lane gain -> analyser -\
 *   segments -> source nodes -> lane gain -> analyser ---> gate -> master -> analyser -> destination
 *
 * Positions are whole frames of the song. Sources of one column start at one context time, and the next column starts
 * exactly where it ends, so stems cannot drift apart and joins cannot be heard. The gate only fades around pause and seek.
 */

import { dbToGain, laneGains } from "./gain.js";
import { SegmentWindow } from "./segments.js";

/** Every audible change is a ramp this long, seconds: too short to notice, too long to click. */
const RAMP = 0.008;
/** Time from "start now" to the first sample: the graph must hear of it before its time comes. */
export const LEAD = 0.03;
/** When this little is left to play and nothing follows, fade out rather than break off, seconds. */
const STALL_MARGIN = 0.25;
/** Playback goes on again once this much is ready, seconds. */
const RESUME_AHEAD = 1;
/** How often the clock is looked at, milliseconds; columns are scheduled many seconds ahead of it. */
const TICK = 100;

/**
 * @typedef {import("./gain.js").Lane} Lane
 * @typedef {import("./segments.js").Stem} Stem
 * @typedef {object} Song
 * @property {number} rate frames per second
 * @property {number} samples frames of the whole song
 * @property {number} segment frames per segment
 * @property {number} gain what segments must be multiplied by to be at their true level
 * @typedef {"paused" | "playing" | "buffering" | "waiting" | "ended"} State
 *   "buffering": the network is behind; "waiting": the separation is. Both go on by themselves.
 * @typedef {object} Run one uninterrupted stretch of playback
 * @property {number} from first frame of the song
 * @property {number} time context time at which it sounds
 * @property {number} until frame up to which sources are scheduled
 * @property {Set<AudioBufferSourceNode>} sources
 */

/** Events: "state", "seek", "mix" (a fader, mute or solo changed), "problem" (detail: why segments do not come, or null once they do). */
export class Engine extends EventTarget {
  /** @type {Lane[]} */
  #lanes;
  /** @type {{gain: GainNode, meter: AnalyserNode}[]} */
  #nodes;
  /** @type {Run | null} */
  #run = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  /** @type {State} */
  #state = "paused";
  #wanted = false;
  #at = 0;
  #masterDb = 0;

  /**
   * @param {readonly Stem[]} stems
   * @param {Song} song
   * @param {AudioContext | OfflineAudioContext} context at the song's own rate, so that nothing is resampled
   */
  constructor(stems, song, context = new AudioContext({ sampleRate: song.rate })) {
    super();
    this.song = song;
    this.context = context;
    this.gate = new GainNode(context, { gain: 0 });
    this.master = new GainNode(context);
    this.meter = new AnalyserNode(context, { fftSize: scratch.length });
    this.gate.connect(this.master).connect(this.meter).connect(context.destination);
    this.#lanes = stems.map(({ name }) => ({ name, db: 0, mute: false, solo: false }));
    this.#nodes = stems.map(() => this.#strip());
    this.segments = new SegmentWindow(
      stems,
      (data) => context.decodeAudioData(data),
      (error) => this.#onSegments(error),
    );
  }

  get state() {
    return this.#state;
  }

  /** Seconds. */
  get duration() {
    return this.song.samples / this.song.rate;
  }

  /** Seconds from the start of the song. */
  get position() {
    return this.#frame / this.song.rate;
  }

  /** @returns {readonly Readonly<Lane>[]} */
  get lanes() {
    return this.#lanes;
  }

  get masterDb() {
    return this.#masterDb;
  }

  async play() {
    if (this.#frame >= this.song.samples) this.#at = 0;
    this.#wanted = true;
    this.#timer ??= setInterval(() => this.#update(), TICK);
    if (this.context instanceof AudioContext) await this.context.resume();
    this.#update();
  }

  pause() {
    this.#wanted = false;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#halt();
    this.#update();
  }

  /** Pauses at the beginning. */
  stop() {
    this.pause();
    this.seek(0);
  }

  /** @param {number} seconds outside the song means its nearest end */
  seek(seconds) {
    this.#halt();
    this.#at = Math.round(Math.min(Math.max(seconds, 0), this.duration) * this.song.rate);
    this.#update();
    this.dispatchEvent(new Event("seek"));
  }

  /** @param {number} segments of every stem that can be fetched by now */
  setAvailable(segments) {
    this.segments.setAvailable(segments);
    this.#update();
  }

  /** @param {string} name @param {Partial<Omit<Lane, "name">>} change */
  setLane(name, change) {
    this.#lanes = this.#lanes.map((lane) => (lane.name === name ? { ...lane, ...change } : lane));
    this.#mix();
  }

  /** Solo adds up, unless it is to be the only one. @param {string} name @param {boolean} solo @param {boolean} [only] */
  setSolo(name, solo, only = false) {
    this.#lanes = this.#lanes.map((lane) => {
      if (lane.name === name) return { ...lane, solo };
      return only ? { ...lane, solo: false } : lane;
    });
    this.#mix();
  }

  /** @param {number} db */
  setMaster(db) {
    this.#masterDb = db;
    this.#mix();
  }

  /** What is sounding this instant: RMS amplitude after the fader, channels averaged. */
  levels() {
    const lanes = this.#lanes.map(({ name }, index) => [name, rms(this.#nodes[index].meter)]);
    return { lanes: /** @type {Record<string, number>} */ (Object.fromEntries(lanes)), master: rms(this.meter) };
  }

  async close() {
    this.pause();
    this.segments.close();
    if (this.context instanceof AudioContext) await this.context.close();
  }

  /** The frame that sounds now. */
  get #frame() {
    if (!this.#run) return this.#at;
    const elapsed = Math.round((this.context.currentTime - this.#run.time) * this.song.rate);
    return Math.min(this.#run.from + Math.max(0, elapsed), this.#run.until);
  }

  #strip() {
    const gain = new GainNode(this.context, { gain: this.song.gain });
    const meter = new AnalyserNode(this.context, { fftSize: scratch.length });
    gain.connect(meter).connect(this.gate);
    return { gain, meter };
  }

  #mix() {
    const now = this.context.currentTime;
    laneGains(this.#lanes).forEach((gain, index) => {
      approach(this.#nodes[index].gain.gain, gain * this.song.gain, now);
    });
    approach(this.master.gain, dbToGain(this.#masterDb), now);
    this.dispatchEvent(new Event("mix"));
  }

  /** Looks at the clock and at what is loaded, and does what is due. Safe to call at any time. */
  #update() {
    this.segments.moveTo(this.#index(this.#frame));
    if (this.#run) this.#continue(this.#run);
    else if (this.#wanted && this.#ready()) this.#begin();
    this.#setState();
  }

  /** @param {Run} run */
  #continue(run) {
    this.#schedule(run);
    const left = (run.until - this.#frame) / this.song.rate;
    if (run.until < this.song.samples && left < STALL_MARGIN) this.#halt();
    if (run.until >= this.song.samples && left <= 0) this.pause();
  }

  #begin() {
    const { rate } = this.song;
    const time = Math.ceil((this.context.currentTime + LEAD) * rate) / rate;
    this.#run = { from: this.#at, time, until: this.#at, sources: new Set() };
    this.gate.gain.setValueAtTime(this.#at === 0 ? 1 : 0, time);
    this.gate.gain.linearRampToValueAtTime(1, time + RAMP);
    this.#schedule(this.#run);
  }

  #halt() {
    if (!this.#run) return;
    this.#at = this.#frame;
    const now = this.context.currentTime;
    const { gain } = this.gate;
    const level = gain.value;
    gain.cancelScheduledValues(now);
    gain.setValueAtTime(level, now);
    gain.linearRampToValueAtTime(0, now + RAMP);
    for (const source of this.#run.sources) source.stop(now + RAMP);
    this.#run = null;
  }

  /** Schedules every loaded column that follows without a gap. @param {Run} run */
  #schedule(run) {
    while (run.until < this.song.samples) {
      const column = this.segments.column(this.#index(run.until));
      if (!column) return;
      column.forEach((buffer, lane) => this.#start(run, buffer, lane));
      run.until = Math.min((this.#index(run.until) + 1) * this.song.segment, this.song.samples);
    }
  }

  /** @param {Run} run @param {AudioBuffer} buffer @param {number} lane */
  #start(run, buffer, lane) {
    const { rate, segment } = this.song;
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.#nodes[lane].gain);
    source.start(run.time + (run.until - run.from) / rate, (run.until % segment) / rate);
    run.sources.add(source);
    // Background tabs slow timers down, not this event: it keeps the schedule filled there.
    source.addEventListener("ended", () => {
      source.disconnect();
      run.sources.delete(source);
      if (this.#run === run) this.#update();
    });
  }

  #ready() {
    const needed = Math.min(this.#at + RESUME_AHEAD * this.song.rate, this.song.samples);
    for (let index = this.#index(this.#at); index * this.song.segment < needed; index++) {
      if (!this.segments.column(index)) return false;
    }
    return true;
  }

  /** @param {number} frame */
  #index(frame) {
    return Math.floor(frame / this.song.segment);
  }

  #setState() {
    const state = this.#currentState();
    if (state === this.#state) return;
    this.#state = state;
    this.dispatchEvent(new Event("state"));
  }

  /** @returns {State} */
  #currentState() {
    if (!this.#wanted) return this.#frame >= this.song.samples ? "ended" : "paused";
    if (this.#run) return "playing";
    const next = Math.min(this.#at + STALL_MARGIN * this.song.rate, this.song.samples - 1);
    return this.#index(next) < this.segments.available ? "buffering" : "waiting";
  }

  /** @param {Error | null} error */
  #onSegments(error) {
    this.#update();
    this.dispatchEvent(new CustomEvent("problem", { detail: error }));
  }
}

/**
 * Moves a parameter without a click: an exponential that is within 2 % of its goal after RAMP.
 * @param {AudioParam} param @param {number} value @param {number} now
 */
function approach(param, value, now) {
  param.cancelScheduledValues(now);
  param.setTargetAtTime(value, now, RAMP / 4);
}

/** 46 ms of sound at 44.1 kHz, shared by all meters: they are read many times a second. */
const scratch = new Float32Array(2048);

/** @param {AnalyserNode} meter @returns {number} */
function rms(meter) {
  meter.getFloatTimeDomainData(scratch);
  return Math.sqrt(scratch.reduce((sum, sample) => sum + sample * sample, 0) / scratch.length);
}

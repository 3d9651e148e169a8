/**
 * The audio engine: stems in, sound out, no DOM.
 *
 *   segments -> sources -> strip (gain, pan) -\
 *   segments -> sources -> strip (gain, pan) ---> crossfade -> bus -> destination
 *   the original's segments -> sources -> gain -/
 *
 * Positions are whole frames of the song; see run.js for what sounds when, bus.js for what the mix passes through.
 * What is not separated yet is played from the original, and so is everything while original and mix are compared.
 */

import { Bus } from "./bus.js";
import { Crossfade } from "./crossfade.js";
import { dbToGain, laneGains, matchedGain } from "./gain.js";
import { approach, jump, RAMP } from "./ramp.js";
import { Run } from "./run.js";
import { neededColumns, SegmentWindow } from "./segments.js";
import { Strip } from "./strip.js";

/** Time from "start now" to the first sample: the graph must hear of it before its time comes. */
export const LEAD = 0.03;
/** How far ahead sources are laid, seconds: more than timers of background tabs can be late. */
const HORIZON = 12;
/** When this little is left to play and nothing follows, fade out rather than break off, seconds. */
const STALL_MARGIN = 0.25;
/** Playback goes on again once this much is ready, seconds. */
const RESUME_AHEAD = 1;
/** How often the clock is looked at, milliseconds; columns are laid many seconds ahead of it. */
const TICK = 100;
/** The shortest loop, seconds: below it is no rhythm but a tone. */
const SHORTEST_LOOP = 0.1;
export const TEMPO = Object.freeze({ min: 0.5, max: 2 });
export const PITCH = Object.freeze({ min: -12, max: 12 });

/**
 * @typedef {import("./crossfade.js").Sounding} Sounding
 * @typedef {import("./gain.js").Lane} Lane
 * @typedef {import("./level.js").Level} Level
 * @typedef {import("./run.js").Deck} Deck
 * @typedef {import("./segments.js").Stem} Stem
 * @typedef {object} Song
 * @property {number} rate frames per second
 * @property {number} samples frames of the whole song
 * @property {number} segment frames per segment
 * @property {number} gain what segments must be multiplied by to be at their true level
 * @property {{segmentsUrl: string} | null} [original] the song itself, if it is kept
 * @typedef {"paused" | "playing" | "buffering" | "waiting" | "ended"} State
 *   "buffering": the network is behind; "waiting": the separation is. Both go on by themselves.
 */

/**
 * Events: "state", "seek", "sounding" (stems or original), "mix" (anything else that a setter changes, or canProcess),
 * "problem" (detail: why segments do not come, or null once they do).
 */
export class Engine extends EventTarget {
  /** @type {Lane[]} */
  #lanes = [];
  /** @type {Strip[]} */
  #strips = [];
  /** @type {Run | null} */
  #run = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  /** @type {State} */
  #state = "paused";
  /** @type {Sounding} */
  #sounding = "stems";
  #wanted = false;
  #at = 0;
  #masterDb = 0;
  #limiter = true;
  #pitch = 0;
  /** Whether original and mix have been compared: from then on the original is at hand. */
  #compared = false;
  /** @type {Readonly<Record<string, number>>} */
  #energies = {};
  /** @type {Deck} */
  #deck;

  /**
   * @param {readonly Stem[]} stems
   * @param {Song} song
   * @param {AudioContext | OfflineAudioContext} context at the song's own rate, so that nothing is resampled
   */
  constructor(stems, song, context = new AudioContext({ sampleRate: song.rate })) {
    super();
    this.song = song;
    this.context = context;
    this.bus = new Bus(context, () => this.#onBus());
    this.crossfade = new Crossfade(context, this.bus.input);
    this.originalGain = new GainNode(context, { gain: song.gain });
    this.originalGain.connect(this.crossfade.original);
    this.segments = this.#window([]);
    this.#deck = { stems: { segments: this.segments, inputs: [] }, original: null, preferOriginal: false, loop: null, tempo: 1 };
    if (song.original) this.#addOriginal(song.original);
    this.setStems(stems);
  }

  /** Of the original, if it is kept. */
  get originalSegments() {
    return this.#deck.original?.segments ?? null;
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

  get limiter() {
    return this.#limiter;
  }

  /** 1 is as recorded. */
  get tempo() {
    return this.#deck.tempo;
  }

  /** Semitones. */
  get pitch() {
    return this.#pitch;
  }

  /** @returns {{start: number, end: number} | null} seconds */
  get loop() {
    const { loop } = this.#deck;
    return loop && { start: loop.start / this.song.rate, end: loop.end / this.song.rate };
  }

  /** Whether the original is asked for. */
  get original() {
    return this.#deck.preferOriginal;
  }

  /** What is heard at the playhead, or will be. */
  get sounding() {
    return this.#sounding;
  }

  /** Whether there are limiter, tempo and pitch: not where the site is opened by plain http from another machine. */
  get canProcess() {
    return this.bus.canProcess;
  }

  /** Seconds by which the loudspeaker is behind the sources. */
  get latency() {
    return this.bus.latency;
  }

  async play() {
    if (this.#frame >= this.song.samples) this.#at = 0;
    this.#wanted = true;
    this.#timer ??= setInterval(() => this.update(), TICK);
    if (this.context instanceof AudioContext) await this.context.resume();
    await this.bus.settled();
    this.update();
  }

  pause() {
    this.#wanted = false;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#halt();
    this.update();
  }

  /** Pauses at the beginning. */
  stop() {
    this.pause();
    this.seek(0);
  }

  /** @param {number} seconds outside the song means its nearest end */
  seek(seconds) {
    this.#halt();
    this.#at = this.#frameOf(seconds);
    this.update();
    this.dispatchEvent(new Event("seek"));
  }

  /**
   * Gives a song its stems, once there are any; what plays goes on.
   * @param {readonly Stem[]} stems
   */
  setStems(stems) {
    if (this.#strips.length > 0) throw new Error("The stems of an engine are set once; other stems take another engine.");
    this.#lanes = stems.map(({ name }) => ({ name, db: 0, pan: 0, mute: false, solo: false }));
    this.#strips = stems.map(() => new Strip(this.context, this.crossfade.stems, this.song.gain));
    this.segments = this.#window(stems);
    this.#deck.stems = { segments: this.segments, inputs: this.#strips.map(({ input }) => input) };
    this.dispatchEvent(new Event("mix"));
  }

  /** @param {number} segments of every stem that can be fetched by now @param {number} [originalSegments] of the original */
  setAvailable(segments, originalSegments = 0) {
    this.segments.setAvailable(this.#lanes.length > 0 ? segments : 0);
    this.#deck.original?.segments.setAvailable(originalSegments);
    this.update();
  }

  /** @param {Readonly<Record<string, number>>} energies of the stems by name, in any unit: how loud the original is to be beside the mix */
  setEnergies(energies) {
    this.#energies = energies;
    this.#mix();
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

  /** @param {boolean} on */
  setLimiter(on) {
    this.#limiter = on;
    this.bus.limit(on);
    this.dispatchEvent(new Event("mix"));
  }

  /** @param {number} tempo outside TEMPO means its nearest end */
  setTempo(tempo) {
    this.#shape(Math.min(Math.max(tempo, TEMPO.min), TEMPO.max), this.#pitch);
  }

  /** @param {number} semitones outside PITCH means its nearest end */
  setPitch(semitones) {
    this.#shape(this.tempo, Math.min(Math.max(semitones, PITCH.min), PITCH.max));
  }

  /**
   * Playback that comes to the loop's end goes on at its start; what is behind the loop plays on to the song's end.
   * @param {number | null} start seconds, or null for none @param {number} [end] seconds; at least SHORTEST_LOOP later
   */
  setLoop(start, end = Infinity) {
    const shortest = Math.round(SHORTEST_LOOP * this.song.rate);
    const from = start === null ? 0 : Math.min(this.#frameOf(start), this.song.samples - shortest);
    this.#deck.loop = start === null ? null : { start: from, end: Math.max(this.#frameOf(end), from + shortest) };
    this.#layAnew();
    this.dispatchEvent(new Event("mix"));
  }

  /** Compares: the original instead of the mix, as loud as it, as soon as it is there. @param {boolean} on */
  setOriginal(on) {
    this.#deck.preferOriginal = on;
    this.#compared ||= on;
    this.#layAnew();
    this.dispatchEvent(new Event("mix"));
  }

  /**
   * What has sounded since the last call, after faders and pan; the reduction is the limiter's greatest, dB.
   * @returns {{lanes: Record<string, Level>, master: Level, reduction: number}}
   */
  levels() {
    const lanes = this.#lanes.map(({ name }, index) => [name, this.#strips[index].meter.level()]);
    return { lanes: Object.fromEntries(lanes), master: this.bus.meter.level(), reduction: this.bus.reduction() };
  }

  async close() {
    this.pause();
    this.segments.close();
    this.#deck.original?.segments.close();
    if (this.context instanceof AudioContext) await this.context.close();
  }

  /** Looks at the clock and at what is loaded, and does what is due. Safe to call at any time. */
  update() {
    this.#need();
    if (this.#run) this.#continue(this.#run);
    else if (this.#wanted && this.#ready()) this.#begin();
    this.#tell();
  }

  /** The frame that is heard now. */
  get #frame() {
    return this.#run ? Math.round(this.#run.frameAt(this.context.currentTime - this.latency)) : this.#at;
  }

  /** @param {number} seconds */
  #frameOf(seconds) {
    return Math.round(Math.min(Math.max(seconds, 0), this.duration) * this.song.rate);
  }

  /** @param {readonly Stem[]} stems */
  #window(stems) {
    return new SegmentWindow(
      stems,
      (data) => this.context.decodeAudioData(data),
      (error) => this.#onSegments(error),
    );
  }

  /** @param {{segmentsUrl: string}} original */
  #addOriginal({ segmentsUrl }) {
    const segments = this.#window([{ name: "original", segmentsUrl }]);
    this.#deck.original = { segments, inputs: [this.originalGain] };
  }

  /** Brings the graph in line with faders, pans, mutes and solos. */
  #mix() {
    const now = this.context.currentTime;
    const move = this.#run ? approach : jump;
    laneGains(this.#lanes).forEach((gain, index) => {
      move(this.#strips[index].gain.gain, gain * this.song.gain, now);
      move(this.#strips[index].pan.pan, this.#lanes[index].pan, now);
    });
    move(this.originalGain.gain, matchedGain(this.#lanes, this.#energies) * this.song.gain, now);
    move(this.bus.master.gain, dbToGain(this.#masterDb), now);
    this.dispatchEvent(new Event("mix"));
  }

  /**
   * Sources play at the tempo and so change the pitch; the bus takes that back. The bus is late while it does: going there
   * or back takes a new run, what lies between doesn't.
   * @param {number} tempo @param {number} pitch
   */
  #shape(tempo, pitch) {
    const shaped = (tempo !== 1 || pitch !== 0) && this.canProcess;
    if (shaped !== this.#shaped) this.#halt();
    this.#deck.tempo = this.canProcess ? tempo : 1;
    this.#pitch = this.canProcess ? pitch : 0;
    this.bus.shape(shaped);
    this.#layAnew();
    this.update();
    this.dispatchEvent(new Event("mix"));
  }

  get #shaped() {
    return this.tempo !== 1 || this.#pitch !== 0;
  }

  /** @param {number} time when it takes effect */
  #shift(time) {
    this.bus.shift(this.#pitch - 12 * Math.log2(this.tempo), time);
  }

  #need() {
    const columns = neededColumns(this.#frame, this.song, this.#deck.loop);
    this.segments.need(columns);
    const missing = columns.some((column) => column >= this.segments.available);
    this.#deck.original?.segments.need(this.#compared || missing ? columns.slice(0, 3) : []);
  }

  #begin() {
    const { rate } = this.song;
    const time = Math.ceil((this.context.currentTime + LEAD) * rate) / rate;
    this.#run = new Run(this.context, this.song, this.#deck, {
      from: this.#at,
      time,
      onChange: (sounding, from) => this.crossfade.change(sounding, from),
      onEnded: () => this.update(),
    });
    this.#shift(time);
    this.bus.open(time, this.#at > 0);
    this.#run.lay(time + HORIZON);
  }

  /** @param {Run} run */
  #continue(run) {
    const now = this.context.currentTime;
    const stale = run.staleFrom(now + LEAD);
    if (stale !== undefined) run.cut(stale);
    run.lay(now + HORIZON);
    run.forget(now - this.latency);
    const left = run.end + this.latency - now;
    if (run.complete && left <= 0) this.pause();
    if (!run.complete && left < STALL_MARGIN + this.latency) this.#halt();
  }

  /** Loop, tempo, or what is to be heard has changed: so does all that has not begun. */
  #layAnew() {
    const time = this.context.currentTime + LEAD;
    if (this.#run && time > this.#run.time) {
      this.#run.cut(time);
      this.#shift(time);
    }
    this.update();
  }

  #halt() {
    if (!this.#run) return;
    this.#at = this.#frame;
    const now = this.context.currentTime;
    this.bus.close(now);
    this.#run.stop(now + RAMP);
    this.#run = null;
  }

  /** Whether enough is loaded to begin. */
  #ready() {
    const needed = Math.min(this.#at + RESUME_AHEAD * this.song.rate, this.song.samples - 1);
    return this.bus.ready && this.#playable(this.#at) && this.#playable(needed);
  }

  /** @param {number} frame */
  #playable(frame) {
    const column = this.#column(frame);
    if (this.segments.column(column)) return true;
    return column >= this.segments.available && this.#deck.original?.segments.column(column) !== undefined;
  }

  /** @param {number} frame */
  #column(frame) {
    return Math.floor(frame / this.song.segment);
  }

  /** Tells of what has changed since the last time. */
  #tell() {
    const [state, sounding] = [this.#currentState(), this.#currentSounding()];
    const changed = { state: state !== this.#state, sounding: sounding !== this.#sounding };
    this.#state = state;
    this.#sounding = sounding;
    if (changed.sounding) this.dispatchEvent(new Event("sounding"));
    if (changed.state) this.dispatchEvent(new Event("state"));
  }

  /** @returns {State} */
  #currentState() {
    if (!this.#wanted) return this.#frame >= this.song.samples ? "ended" : "paused";
    if (this.#run) return "playing";
    const next = this.#column(Math.min(this.#at + STALL_MARGIN * this.song.rate, this.song.samples - 1));
    const available = Math.max(this.segments.available, this.#deck.original?.segments.available ?? 0);
    return next < available ? "buffering" : "waiting";
  }

  /** @returns {Sounding} */
  #currentSounding() {
    const sounding = this.#run?.soundingAt(this.context.currentTime - this.latency);
    if (sounding) return sounding;
    const { original, preferOriginal } = this.#deck;
    const column = this.#column(this.#frame);
    const there = original !== null && column < original.segments.available;
    return there && (preferOriginal || column >= this.segments.available) ? "original" : "stems";
  }

  /** Something of the bus has been loaded, or can't be: then tempo and pitch are what they always were. */
  #onBus() {
    if (!this.canProcess && this.#shaped) this.#shape(1, 0);
    else this.dispatchEvent(new Event("mix"));
    this.update();
  }

  /** @param {Error | null} error */
  #onSegments(error) {
    this.update();
    this.dispatchEvent(new CustomEvent("problem", { detail: error }));
  }
}

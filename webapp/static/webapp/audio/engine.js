/**
 * The audio engine: stems in, sound out, no DOM. This is everything that a page can call and listen to.
 *
 *   segments -> sources -> crossfade -\
 *   draft segments -> sources -> crossfade -> strip (gain, pan) -\
 *   original segments -> sources -> crossfade -> gain -------------> bus -> destination
 *
 * Positions are whole frames of the song. channels.js has the strips, playback.js the sources, master-bus.js the master
 * bus. What is not separated yet is played from the draft or, without a draft, from the original. To compare, the
 * original can also replace the whole mix.
 */

import { Channels } from "./channels.js";
import { Crossfade } from "./crossfade.js";
import { PITCH, TEMPO } from "./mix-law.js";
import { MasterBus } from "./nodes/master-bus.js";
import { Playback } from "./playback.js";
import { SegmentBuffer } from "./segment-buffer.js";

/** The shortest loop, seconds: anything shorter is a tone, not a rhythm. */
const SHORTEST_LOOP = 0.1;

/**
 * @typedef {import("./mix-law.js").Lane} Lane
 * @typedef {import("./nodes/level-meter.js").Level} Level
 * @typedef {import("./playback.js").State} State
 * @typedef {import("./schedule.js").Deck} Deck
 * @typedef {import("./segment-buffer.js").Stem} Stem
 * @typedef {object} Song
 * @property {number} rate frames per second
 * @property {number} samples frames of the whole song
 * @property {number} segment frames per segment
 * @property {number} gain factor that brings segments to their true level
 * @property {{segmentsUrl: string} | null} [original] the original, if it was kept
 */

/**
 * Events: "state"; "seek"; "sounding" (stems, draft or original); "mix" (anything else that a setter changes, or
 * canProcess); "problem" (detail: the error that prevents loading, or null when it is resolved).
 */
export class Engine extends EventTarget {
  #channels;
  #playback;
  #limiter = true;
  #pitch = 0;
  /** @type {Deck} */
  #deck;

  /**
   * @param {readonly Stem[]} stems
   * @param {Song} song
   * @param {AudioContext | OfflineAudioContext} context at the song's sample rate, so that nothing is resampled
   */
  constructor(stems, song, context = new AudioContext({ sampleRate: song.rate })) {
    super();
    this.song = song;
    this.context = context;
    this.bus = new MasterBus(context, () => this.#onBus());
    const crossfade = new Crossfade(context);
    this.#channels = new Channels(context, song.gain, crossfade, this.bus);
    this.segments = this.#createBuffer([]);
    const nothing = { segments: this.segments, inputs: [] };
    this.#deck = { stems: nothing, draft: null, original: null, preferOriginal: false, loop: null, tempo: 1 };
    if (song.original) this.#addOriginal(song.original);
    this.#playback = new Playback(context, song, this.#deck, this.bus, crossfade, (what) => this.#dispatch(what));
    this.setStems(stems);
  }

  /** Buffer of the draft, or null. */
  get draftSegments() {
    return this.#deck.draft?.segments ?? null;
  }

  /** Buffer of the original, or null. */
  get originalSegments() {
    return this.#deck.original?.segments ?? null;
  }

  get state() {
    return this.#playback.state;
  }

  /** Seconds. */
  get duration() {
    return this.song.samples / this.song.rate;
  }

  /** Seconds from the start of the song. */
  get position() {
    return this.#playback.frame / this.song.rate;
  }

  get lanes() {
    return this.#channels.lanes;
  }

  get masterDb() {
    return this.#channels.masterDb;
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

  /** Whether the original is switched on. */
  get original() {
    return this.#deck.preferOriginal;
  }

  /** What plays at the playhead, or will: stems, draft or original. */
  get sounding() {
    return this.#playback.sounding;
  }

  /**
   * Whether limiter, tempo and pitch are available: they need a secure context, so not plain HTTP from another machine.
   */
  get canProcess() {
    return this.bus.canProcess;
  }

  /** Delay from the sources to the output, seconds. */
  get latency() {
    return this.bus.latency;
  }

  async play() {
    await this.#playback.play();
  }

  pause() {
    this.#playback.pause();
  }

  /** Pauses and returns to the beginning. */
  stop() {
    this.pause();
    this.seek(0);
  }

  /** @param {number} seconds clamped to the song */
  seek(seconds) {
    this.#playback.seek(this.#frameOf(seconds));
    this.#dispatch("seek");
  }

  /** Checks the clock and what is loaded, and does what is due. Safe to call at any time. */
  update() {
    this.#playback.update();
  }

  /**
   * Sets the stems once they exist; playback continues.
   * @param {readonly Stem[]} stems
   */
  setStems(stems) {
    if (this.lanes.length > 0) throw new Error("Stems can be set only once; other stems need a new engine.");
    this.#channels.addLanes(stems.map(({ name }) => name));
    this.segments = this.#createBuffer(stems);
    this.#deck.stems = { segments: this.segments, inputs: this.#channels.inputs.stems };
    this.#addDraft(stems);
    this.#dispatch("mix");
  }

  /**
   * Sets how many segments the server has.
   * @param {number} segments of every stem
   * @param {number} [originalSegments] of the original
   * @param {number} [draftSegments] of the draft
   */
  setAvailable(segments, originalSegments = 0, draftSegments = 0) {
    this.segments.setAvailable(this.lanes.length > 0 ? segments : 0);
    this.originalSegments?.setAvailable(originalSegments);
    this.draftSegments?.setAvailable(draftSegments);
    this.update();
  }

  /**
   * Sets the stems' energies, from which the loudness of the original is matched to the mix.
   * @param {Readonly<Record<string, number>>} energies of the stems, in any unit
   */
  setEnergies(energies) {
    this.#channels.setEnergies(energies);
    this.#applyMix();
  }

  /** @param {string} name @param {Partial<Omit<Lane, "name">>} change */
  setLane(name, change) {
    this.#channels.setLane(name, change);
    this.#applyMix();
  }

  /** Solos add up unless `only` is true. @param {string} name @param {boolean} solo @param {boolean} [only] */
  setSolo(name, solo, only = false) {
    this.#channels.setSolo(name, solo, only);
    this.#applyMix();
  }

  /** @param {number} db */
  setMaster(db) {
    this.#channels.setMaster(db);
    this.#applyMix();
  }

  /** @param {boolean} on */
  setLimiter(on) {
    this.#limiter = on;
    this.bus.limit(on);
    this.#dispatch("mix");
  }

  /** @param {number} tempo clamped to TEMPO */
  setTempo(tempo) {
    this.#setShape(Math.min(Math.max(tempo, TEMPO.min), TEMPO.max), this.#pitch);
  }

  /** @param {number} semitones clamped to PITCH */
  setPitch(semitones) {
    this.#setShape(this.tempo, Math.min(Math.max(semitones, PITCH.min), PITCH.max));
  }

  /**
   * Playback that reaches the loop's end continues at its start. Playback that is already behind the loop jumps to its
   * start:
   * at once if playing, on play if paused. Only a seek leaves the loop, and then plays to the song's end.
   * @param {number | null} start seconds; null turns looping off
   * @param {number} [end] seconds, at least SHORTEST_LOOP later
   */
  setLoop(start, end = Infinity) {
    const shortest = Math.round(SHORTEST_LOOP * this.song.rate);
    const from = start === null ? 0 : Math.min(this.#frameOf(start), this.song.samples - shortest);
    this.#deck.loop = start === null ? null : { start: from, end: Math.max(this.#frameOf(end), from + shortest) };
    this.#playback.enterLoop();
    this.#dispatch("mix");
  }

  /** Plays the original instead of the mix, at the same loudness, as soon as it is loaded. @param {boolean} on */
  setOriginal(on) {
    this.#deck.preferOriginal = on;
    this.#playback.keepsOriginal ||= on; // keep it loaded, so that the next comparison starts at once
    this.#playback.reschedule();
    this.#dispatch("mix");
  }

  /**
   * Levels since the last call, after faders and pan; the limiter's greatest gain reduction, dB.
   * @returns {{lanes: Record<string, Level>, master: Level, reduction: number}}
   */
  levels() {
    return { lanes: this.#channels.levels(), master: this.bus.meter.level(), reduction: this.bus.reduction() };
  }

  async close() {
    this.pause();
    for (const segments of [this.segments, this.draftSegments, this.originalSegments]) segments?.close();
    if (this.context instanceof AudioContext) await this.context.close();
  }

  /** @param {number} seconds */
  #frameOf(seconds) {
    return Math.round(Math.min(Math.max(seconds, 0), this.duration) * this.song.rate);
  }

  /** @param {readonly Stem[]} stems */
  #createBuffer(stems) {
    return new SegmentBuffer(
      stems,
      (data) => this.context.decodeAudioData(data),
      (error) => this.#onSegments(error),
    );
  }

  /** A draft contains some of the stems; the others are silent in it. @param {readonly Stem[]} stems */
  #addDraft(stems) {
    const inputs = this.#channels.inputs.draft.filter((_, index) => stems[index].draftSegmentsUrl);
    const drafts = stems.flatMap(({ name, draftSegmentsUrl }) =>
      draftSegmentsUrl ? [{ name, segmentsUrl: draftSegmentsUrl }] : [],
    );
    if (drafts.length > 0) this.#deck.draft = { segments: this.#createBuffer(drafts), inputs };
  }

  /** @param {{segmentsUrl: string}} original */
  #addOriginal({ segmentsUrl }) {
    const segments = this.#createBuffer([{ name: "original", segmentsUrl }]);
    this.#deck.original = { segments, inputs: this.#channels.inputs.original };
  }

  #applyMix() {
    this.#channels.apply(this.#playback.running);
    this.#dispatch("mix");
  }

  /**
   * Sources play at the tempo, which changes their pitch; the bus corrects that. Shaping adds latency, so turning it on
   * or off restarts playback, while changes in between do not.
   * @param {number} tempo @param {number} pitch
   */
  #setShape(tempo, pitch) {
    const shaped = (tempo !== 1 || pitch !== 0) && this.canProcess;
    if (shaped !== this.#isShaped) this.#playback.halt();
    this.#deck.tempo = shaped ? tempo : 1;
    this.#pitch = shaped ? pitch : 0;
    this.bus.shape(shaped, this.#pitch - 12 * Math.log2(this.tempo));
    this.#playback.reschedule();
    this.#dispatch("mix");
  }

  get #isShaped() {
    return this.tempo !== 1 || this.#pitch !== 0;
  }

  /** A part of the bus has been loaded, or has failed, in which case tempo and pitch are reset. */
  #onBus() {
    if (!this.canProcess && this.#isShaped) this.#setShape(1, 0);
    else this.#dispatch("mix");
    this.update();
  }

  /** @param {Error | null} error */
  #onSegments(error) {
    this.update();
    this.dispatchEvent(new CustomEvent("problem", { detail: error }));
  }

  /** @param {string} type */
  #dispatch(type) {
    this.dispatchEvent(new Event(type));
  }
}

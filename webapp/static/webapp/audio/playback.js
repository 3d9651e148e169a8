/**
 * Plays, pauses, seeks, and waits for what is not loaded yet, one schedule after another.
 * schedule.js decides what sounds when, segment-buffer.js loads it; this watches the clock and controls both.
 */

import { RAMP } from "./nodes/param-ramp.js";
import { bestOf, isLoaded, Schedule } from "./schedule.js";
import { neededColumns } from "./segment-buffer.js";

/** Time from "start now" to the first sample, seconds: the graph must be scheduled ahead. */
export const LEAD = 0.03;
/** How far ahead sources are scheduled, seconds: longer than timers of background tabs can be late. */
const HORIZON = 12;
/** With this little left to play and nothing to follow, fade out instead of breaking off, seconds. */
const STALL_MARGIN = 0.25;
/** Playback resumes once this much is loaded, seconds. */
const RESUME_AHEAD = 1;
/** How often the clock is checked, milliseconds; columns are scheduled many seconds ahead. */
const TICK = 100;
/** Columns of the original to keep loaded while it is needed. */
const ORIGINAL_COLUMNS = 4;

/**
 * @typedef {import("./crossfade.js").Sounding} Sounding
 * @typedef {"paused" | "playing" | "buffering" | "waiting" | "ended"} State
 *   "buffering": waiting for the network; "waiting": for the separation. Both resume by themselves.
 */

export class Playback {
  /** @type {Schedule | null} */
  #schedule = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  /** @type {State} */
  #state = "paused";
  /** @type {Sounding} */
  #sounding = "stems";
  #shouldPlay = false;
  #startFrame = 0;

  /**
   * @param {AudioContext | OfflineAudioContext} context
   * @param {{rate: number, samples: number, segment: number}} song
   * @param {import("./schedule.js").Deck} deck what to play; may change at any time
   * @param {import("./nodes/master-bus.js").MasterBus} bus
   * @param {import("./crossfade.js").Crossfade} crossfade
   * @param {(what: "state" | "sounding") => void} onChange
   */
  constructor(context, song, deck, bus, crossfade, onChange) {
    this.context = context;
    this.song = song;
    this.deck = deck;
    this.bus = bus;
    this.crossfade = crossfade;
    this.onChange = onChange;
    /** Whether to keep the original loaded even where stems are available. */
    this.keepsOriginal = false;
  }

  get state() {
    return this.#state;
  }

  /** What plays at the playhead, or will. */
  get sounding() {
    return this.#sounding;
  }

  /** Whether sources are playing. */
  get running() {
    return this.#schedule !== null;
  }

  /** The frame that is audible now. */
  get frame() {
    return this.#schedule ? Math.round(this.#schedule.frameAt(this.#audibleTime)) : this.#startFrame;
  }

  async play() {
    // At the song's end, playback starts over.
    if (!this.#shouldPlay) this.#startFrame = this.#loopEntry(this.frame) % this.song.samples;
    this.#shouldPlay = true;
    this.#timer ??= setInterval(() => this.update(), TICK);
    if (this.context instanceof AudioContext) await this.context.resume();
    await this.bus.settled();
    this.update();
  }

  pause() {
    this.#shouldPlay = false;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.halt();
    this.update();
  }

  /** @param {number} frame may be behind the loop: then it plays to the song's end */
  seek(frame) {
    this.halt();
    this.#startFrame = frame;
    this.update();
  }

  /** Jumps to the loop's start if playback is behind the loop, or will be before it can be rescheduled. */
  enterLoop() {
    const ahead = this.#schedule
      ? Math.round(this.#schedule.frameAt(this.context.currentTime + LEAD))
      : this.#startFrame;
    const entered = this.#loopEntry(ahead);
    if (this.#shouldPlay && entered !== ahead) this.seek(entered);
    else this.reschedule();
  }

  /** Checks the clock and what is loaded, and does what is due. Safe to call at any time. */
  update() {
    this.#requestColumns();
    if (this.#schedule) this.#advance(this.#schedule);
    else if (this.#shouldPlay && this.#startFrame >= this.song.samples) this.pause();
    else if (this.#shouldPlay && this.#canStart()) this.#start();
    this.#notify();
  }

  /** Reschedules everything that has not started yet, after the deck has changed. */
  reschedule() {
    if (this.#schedule) {
      const time = Math.max(this.context.currentTime + LEAD, this.#schedule.time);
      this.#schedule.cut(time);
      this.bus.shift(time);
    }
    this.update();
  }

  /** Fades out; `update` starts again at the same position unless paused. */
  halt() {
    if (!this.#schedule) return;
    this.#startFrame = this.frame;
    const now = this.context.currentTime;
    this.bus.close(now);
    this.#schedule.stop(now + RAMP);
    this.#schedule = null;
  }

  /** Context time at which the audible sound entered the graph. */
  get #audibleTime() {
    return this.context.currentTime - this.bus.latency;
  }

  /** Where playback of a frame starts: behind the loop, at the loop's start. @param {number} frame */
  #loopEntry(frame) {
    const { loop } = this.deck;
    return loop && frame >= loop.end ? loop.start : frame;
  }

  #requestColumns() {
    const { stems, draft, original, loop } = this.deck;
    const columns = neededColumns(this.frame, this.song, loop);
    const last = Math.max(...columns);
    const separated = stems.segments.available;
    const drafted = Math.max(separated, draft?.segments.available ?? 0);
    stems.segments.request(columns);
    // What is audible stays loaded until it has been faded out.
    draft?.segments.request(last >= separated || this.#sounding === "draft" ? columns : []);
    const wanted = this.keepsOriginal || last >= drafted || this.#sounding === "original";
    original?.segments.request(wanted ? columns.slice(0, ORIGINAL_COLUMNS) : []);
  }

  #start() {
    const { rate } = this.song;
    const time = Math.ceil((this.context.currentTime + LEAD) * rate) / rate;
    this.#schedule = new Schedule(this.context, this.song, this.deck, {
      from: this.#startFrame,
      time,
      onChange: (...change) => this.crossfade.change(...change),
      onEnded: () => this.update(),
    });
    this.bus.open(time, this.#startFrame > 0);
    this.bus.shift(time);
    this.#schedule.extend(time + HORIZON);
  }

  /** @param {Schedule} schedule */
  #advance(schedule) {
    const now = this.context.currentTime;
    const stale = schedule.staleFrom(now + LEAD);
    if (stale !== undefined) schedule.cut(stale);
    schedule.extend(now + HORIZON);
    schedule.prune(this.#audibleTime);
    const left = schedule.end - this.#audibleTime;
    if (schedule.complete && left <= 0) this.pause();
    if (!schedule.complete && left < STALL_MARGIN + this.bus.latency) this.halt();
  }

  /** Whether enough is loaded to start. */
  #canStart() {
    return this.bus.ready && this.#firstFrames.every((frame) => this.#playable(frame));
  }

  /** Frames that must be loaded before playback starts. */
  get #firstFrames() {
    const { loop } = this.deck;
    const looping = loop !== null && this.#startFrame < loop.end;
    const [last, end] = [this.#startFrame + RESUME_AHEAD * this.song.rate, looping ? loop.end : this.song.samples];
    return [this.#startFrame, Math.min(last, end) - 1, ...(looping && last >= end ? [loop.start] : [])];
  }

  /** @param {number} frame */
  #playable(frame) {
    const column = this.#column(frame);
    const best = bestOf(this.deck, column);
    return best !== undefined && isLoaded(this.deck[best], column);
  }

  /** @param {number} frame */
  #column(frame) {
    return Math.floor(frame / this.song.segment);
  }

  /** Reports what has changed since the last call. */
  #notify() {
    const [state, sounding] = [this.#currentState(), this.#currentSounding()];
    const changed = { state: state !== this.#state, sounding: sounding !== this.#sounding };
    this.#state = state;
    this.#sounding = sounding;
    if (changed.sounding) this.onChange("sounding");
    if (changed.state) this.onChange("state");
  }

  /** @returns {State} */
  #currentState() {
    if (!this.#shouldPlay) return this.frame >= this.song.samples ? "ended" : "paused";
    if (this.#schedule) return "playing";
    return this.#firstFrames.every((frame) => bestOf(this.deck, this.#column(frame))) ? "buffering" : "waiting";
  }

  /** @returns {Sounding} */
  #currentSounding() {
    const sounding = this.#schedule?.soundingAt(this.#audibleTime);
    if (sounding) return sounding;
    const { original, preferOriginal } = this.deck;
    const column = this.#column(this.frame);
    if (preferOriginal && original && column < original.segments.available) return "original";
    return bestOf(this.deck, column) ?? "stems";
  }
}

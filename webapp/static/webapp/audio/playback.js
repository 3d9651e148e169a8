/**
 * Playing, pausing, seeking, and waiting for what is not loaded yet: one run after the other.
 * What sounds when is schedule.js; what is loaded is segment-buffer.js; this looks at the clock and decides.
 */

import { RAMP } from "./nodes/param-ramp.js";
import { bestOf, isLoaded, Schedule } from "./schedule.js";
import { neededColumns } from "./segment-buffer.js";

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
/** Columns of the original that are kept where it is needed. */
const ORIGINAL_COLUMNS = 4;

/**
 * @typedef {import("./crossfade.js").Sounding} Sounding
 * @typedef {"paused" | "playing" | "buffering" | "waiting" | "ended"} State
 *   "buffering": the network is behind; "waiting": the separation is. Both go on by themselves.
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
   * @param {import("./schedule.js").Deck} deck what is to be played, which may change at any time
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
    /** Whether the original is to be at hand even where there are stems. */
    this.keepsOriginal = false;
  }

  get state() {
    return this.#state;
  }

  /** What is heard at the playhead, or will be. */
  get sounding() {
    return this.#sounding;
  }

  /** Whether sources are sounding. */
  get running() {
    return this.#schedule !== null;
  }

  /** The frame that is heard now. */
  get frame() {
    return this.#schedule ? Math.round(this.#schedule.frameAt(this.#audibleTime)) : this.#startFrame;
  }

  async play() {
    if (!this.#shouldPlay) this.#startFrame = this.#loopEntry(this.frame) % this.song.samples; // once more from its end
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

  /** @param {number} frame also behind the loop: somebody wants to listen there, so it plays on to the song's end */
  seek(frame) {
    this.halt();
    this.#startFrame = frame;
    this.update();
  }

  /** What plays stays in the loop: if it is behind it, or about to be before it can be turned back, it goes to the start. */
  enterLoop() {
    const ahead = this.#schedule
      ? Math.round(this.#schedule.frameAt(this.context.currentTime + LEAD))
      : this.#startFrame;
    const entered = this.#loopEntry(ahead);
    if (this.#shouldPlay && entered !== ahead) this.seek(entered);
    else this.reschedule();
  }

  /** Looks at the clock and at what is loaded, and does what is due. Safe to call at any time. */
  update() {
    this.#requestColumns();
    if (this.#schedule) this.#advance(this.#schedule);
    else if (this.#shouldPlay && this.#startFrame >= this.song.samples) this.pause();
    else if (this.#shouldPlay && this.#canStart()) this.#start();
    this.#notify();
  }

  /** What is to be heard has changed: so does all that has not begun. */
  reschedule() {
    if (this.#schedule) {
      const time = Math.max(this.context.currentTime + LEAD, this.#schedule.time);
      this.#schedule.cut(time);
      this.bus.shift(time);
    }
    this.update();
  }

  /** Fades out; `update` begins again where it was, if it is still to play. */
  halt() {
    if (!this.#schedule) return;
    this.#startFrame = this.frame;
    const now = this.context.currentTime;
    this.bus.close(now);
    this.#schedule.stop(now + RAMP);
    this.#schedule = null;
  }

  /** Context time at which what is heard now came in. */
  get #audibleTime() {
    return this.context.currentTime - this.bus.latency;
  }

  /** Where playing a frame begins: what is behind the loop is left for its start. @param {number} frame */
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
    // What is heard is kept until it has been faded out of.
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

  /** @param {Schedule} run */
  #advance(run) {
    const now = this.context.currentTime;
    const stale = run.staleFrom(now + LEAD);
    if (stale !== undefined) run.cut(stale);
    run.extend(now + HORIZON);
    run.prune(this.#audibleTime);
    const left = run.end - this.#audibleTime;
    if (run.complete && left <= 0) this.pause();
    if (!run.complete && left < STALL_MARGIN + this.bus.latency) this.halt();
  }

  /** Whether enough is loaded to begin. */
  #canStart() {
    return this.bus.ready && this.#firstFrames.every((frame) => this.#playable(frame));
  }

  /** Frames of what plays at first, without which it doesn't begin. */
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

  /** Tells of what has changed since the last time. */
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

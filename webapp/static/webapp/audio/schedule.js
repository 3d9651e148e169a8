/**
 * One uninterrupted stretch of playback: which frames of the song sound when, and the sources that play them.
 *
 * It is a chain of pieces, each within one column of segments. A piece starts in exactly the context frame in which the
 * previous one ends, so joins are inaudible and stems cannot drift apart. What lies ahead can be cut off and
 * rescheduled.
 */

import { RAMP } from "./nodes/param-ramp.js";

/**
 * @typedef {import("./segment-buffer.js").SegmentBuffer} SegmentBuffer
 * @typedef {import("./crossfade.js").Sounding} Sounding
 * @typedef {object} Track segments that are loaded together, and the inputs they feed
 * @property {SegmentBuffer} segments
 * @property {readonly AudioNode[]} inputs
 * @typedef {object} Deck what to play, read again for each piece
 * @property {Track} stems
 * @property {Track | null} draft
 * @property {Track | null} original
 * @property {boolean} preferOriginal
 * @property {Loop | null} loop
 * @property {number} tempo
 * @typedef {{start: number, end: number}} Loop frames of the song
 * @typedef {object} Piece
 * @property {number} from first frame of the song
 * @property {number} offset first frame of the schedule
 * @property {number} until frame of the schedule after the piece's last
 * @property {number} tempo frames of the song per frame of the schedule
 * @property {Record<Sounding, boolean>} has
 * @property {Sounding} sounding
 * @property {AudioBufferSourceNode[]} sources
 */

/** In order of preference. */
const TRACKS = /** @type {const} */ (["stems", "draft", "original"]);

/**
 * The best track for a column that is loaded or can be loaded, unless the original is switched on.
 * @param {Deck} deck @param {number} column @returns {Sounding | undefined}
 */
export function bestOf(deck, column) {
  return TRACKS.find((track) => column < (deck[track]?.segments.available ?? 0) || isLoaded(deck[track], column));
}

/** @param {Track | null} track @param {number} column */
export const isLoaded = (track, column) => track?.segments.column(column) !== undefined;

export class Schedule {
  /** @type {Piece[]} */
  #pieces = [];
  /**
   * Where the next piece starts: frame of the song, and of the schedule (not rounded, so that errors do not add up).
   */
  #next;
  /** Whether the next piece replaces one that was cut off. */
  #relaid = false;

  /**
   * @param {BaseAudioContext} context
   * @param {{rate: number, samples: number, segment: number}} song
   * @param {Deck} deck
   * @param {object} begin
   * @param {number} begin.from frame of the song
   * @param {number} begin.time context time, on a whole frame
   * @param {(sounding: Sounding, fadeIn: number, fadeOut: number) => void} begin.onChange called with what becomes
   *   audible, and when
   * @param {() => void} begin.onEnded called when a source has ended
   */
  constructor(context, song, deck, { from, time, onChange, onEnded }) {
    this.context = context;
    this.song = song;
    this.deck = deck;
    this.time = time;
    this.onChange = onChange;
    this.onEnded = onEnded;
    this.#next = { frame: from, offset: 0 };
  }

  /** Context time up to which pieces are scheduled. */
  get end() {
    return this.#timeOf(Math.round(this.#next.offset));
  }

  /** Whether pieces are scheduled to the song's end. */
  get complete() {
    return this.#next.frame >= this.song.samples;
  }

  /** @param {number} time of the context @returns {number} frame of the song that enters the graph then */
  frameAt(time) {
    const offset = this.#offsetOf(time);
    const piece = this.#pieceAt(offset);
    if (!piece) return this.#next.frame;
    const inside = Math.min(Math.max(offset, piece.offset), piece.until) - piece.offset;
    return Math.min(piece.from + inside * piece.tempo, this.song.samples);
  }

  /** @param {number} time of the context @returns {Sounding | undefined} */
  soundingAt(time) {
    return this.#pieceAt(this.#offsetOf(time))?.sounding;
  }

  /** Schedules loaded pieces up to a context time. @param {number} until */
  extend(until) {
    while (this.end < until && this.#add());
  }

  /** Cuts off what is scheduled from a context time on, to be rescheduled. @param {number} time */
  cut(time) {
    const offset = this.#offsetOf(time);
    const index = this.#pieces.findIndex(({ until }) => until > offset);
    if (index < 0) return;
    const piece = this.#pieces[index];
    const cut = Math.max(offset, piece.offset);
    this.#relaid = true;
    this.#next = { frame: piece.from + (cut - piece.offset) * piece.tempo, offset: cut };
    for (const { sources } of this.#pieces.splice(index + (cut > piece.offset ? 1 : 0))) sources.forEach(discard);
    if (cut > piece.offset) {
      piece.until = cut;
      for (const source of piece.sources) source.stop(this.#timeOf(cut));
    }
  }

  /**
   * From when on more is loaded than is scheduled: something better, or the previous track, which makes a crossfade
   * possible.
   * @param {number} after context time @returns {number | undefined} context time, at least `after`
   */
  staleFrom(after) {
    const offset = this.#offsetOf(after);
    const piece = this.#pieces.find((each) => each.until > offset && this.#isStale(each));
    return piece && Math.max(after, this.#timeOf(piece.offset));
  }

  /** Drops pieces that have been played. @param {number} time of the context */
  prune(time) {
    const offset = this.#offsetOf(time);
    while (this.#pieces.length > 1 && this.#pieces[0].until <= offset) this.#pieces.shift();
  }

  /** @param {number} time of the context */
  stop(time) {
    for (const { sources } of this.#pieces) for (const source of sources) source.stop(time);
    this.onEnded = () => undefined;
  }

  /** @param {number} time */
  #offsetOf(time) {
    return Math.round((time - this.time) * this.song.rate);
  }

  /** @param {number} offset */
  #timeOf(offset) {
    return (Math.round(this.time * this.song.rate) + offset) / this.song.rate;
  }

  /** @param {number} offset @returns {Piece | undefined} the nearest one */
  #pieceAt(offset) {
    return this.#pieces.find(({ until }) => until > offset) ?? this.#pieces.at(-1);
  }

  /** @returns {boolean} whether there was anything to add */
  #add() {
    const { samples, segment } = this.song;
    const { loop, tempo } = this.deck;
    const { frame, offset } = this.#next;
    const column = Math.floor(frame / segment);
    const best = TRACKS.find((track) => isLoaded(this.deck[track], column));
    if (frame >= samples || !best) return false;
    const looping = loop !== null && frame < loop.end;
    const to = Math.min((column + 1) * segment, samples, looping ? loop.end : Infinity);
    this.#next = { frame: looping && to === loop.end ? loop.start : to, offset: offset + (to - frame) / tempo };
    this.#append(frame, Math.round(offset), column, best);
    return true;
  }

  /** @param {number} from @param {number} offset @param {number} column @param {Sounding} best track that is loaded */
  #append(from, offset, column, best) {
    const { preferOriginal, tempo } = this.deck;
    const has = this.#loaded(column);
    const sounding = preferOriginal && has.original ? "original" : best;
    /** @type {Piece} */
    const piece = { from, offset, until: Math.round(this.#next.offset), tempo, has, sounding, sources: [] };
    this.#fade(this.#pieces.at(-1), piece);
    this.#pieces.push(piece);
    for (const track of TRACKS) {
      const from = this.deck[track];
      from?.segments.column(column)?.forEach((buffer, index) => this.#start(piece, buffer, from.inputs[index]));
    }
  }

  /** @param {number} column @returns {Record<Sounding, boolean>} */
  #loaded(column) {
    const { stems, draft, original } = this.deck;
    return { stems: isLoaded(stems, column), draft: isLoaded(draft, column), original: isLoaded(original, column) };
  }

  /**
   * Crossfades between two pieces: both tracks continue past the join if possible; a track that ends there fades out
   * before it.
   * @param {Piece | undefined} before @param {Piece} piece
   */
  #fade(before, piece) {
    const { sounding } = piece;
    const time = this.#timeOf(piece.offset);
    const relaid = this.#relaid;
    this.#relaid = false;
    if (sounding === before?.sounding) {
      if (relaid) this.onChange(sounding, time - RAMP, time - RAMP); // what was cut off may have included a fade
      return;
    }
    const runsOn = !before || piece.has[before.sounding];
    this.onChange(sounding, runsOn || !before.has[sounding] ? time : time - RAMP, runsOn ? time : time - RAMP);
  }

  /** @param {Piece} piece @param {AudioBuffer} buffer @param {AudioNode} input */
  #start({ from, offset, until, tempo, sources }, buffer, input) {
    const source = new AudioBufferSourceNode(this.context, { buffer, playbackRate: tempo });
    source.connect(input);
    source.start(this.#timeOf(offset), (from % this.song.segment) / this.song.rate);
    source.stop(this.#timeOf(until));
    sources.push(source);
    // Background tabs slow timers down but not this event, which keeps the schedule extended there.
    source.addEventListener("ended", () => {
      source.disconnect();
      source.buffer = null; // at once, not at garbage collection: a column of six stems is 21 MB
      this.onEnded();
    });
  }

  /** @param {Piece} piece */
  #isStale({ from, has }) {
    const loaded = this.#loaded(Math.floor(from / this.song.segment));
    return TRACKS.some((track) => loaded[track] && !has[track]);
  }
}

/** @param {AudioBufferSourceNode} source that has not started */
function discard(source) {
  source.stop();
  source.disconnect();
}

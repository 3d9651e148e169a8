/**
 * Loads the few seconds of every stem that are needed next, decodes them, and drops them again.
 * A song is cut into segments; one segment of all stems is a column, and only whole columns are returned.
 */

/**
 * Columns to load: the one at the playhead and those that follow. With the one to go back to, five columns of seven
 * stereo stems take 62 MB; where the draft follows them, its four columns take another 35 MB.
 */
const AHEAD = 4;

/** Delays between attempts while the server cannot be reached, seconds; the last one repeats. */
const RETRY_SECONDS = [0.5, 1, 2, 4, 8];

/**
 * @typedef {object} Stem
 * @property {string} name
 * @property {string} segmentsUrl URL with `{index}` in place of the segment's number
 * @property {string | null} [draftSegmentsUrl] of its draft, if it has one
 */

export class SegmentBuffer {
  /** @type {Map<number, AudioBuffer[]>} */
  #columns = new Map();
  /** @type {{index: number, abort: AbortController} | null} */
  #loading = null;
  #filling = false;
  #available = 0;
  /** @type {readonly number[]} */
  #needed = [];
  /** Settles when the last decoding has finished. @type {Promise<unknown>} */
  #decoding = Promise.resolve();

  /**
   * @param {readonly Stem[]} stems
   * @param {(data: ArrayBuffer) => Promise<AudioBuffer>} decode
   * @param {(error: Error | null) => void} onChange called after each column (null) and each failed attempt (its error)
   */
  constructor(stems, decode, onChange) {
    this.stems = stems;
    this.decode = decode;
    this.onChange = onChange;
  }

  /** Number of columns that the server has. */
  get available() {
    return this.#available;
  }

  /** @param {number} columns */
  setAvailable(columns) {
    this.#available = columns;
    void this.#fill();
  }

  /** @param {number} index @returns {AudioBuffer[] | undefined} one buffer per stem, in the stems' order */
  column(index) {
    return this.#columns.get(index);
  }

  /**
   * Drops all other columns and fetches those of these that are missing.
   * @param {readonly number[]} columns most urgent first
   */
  request(columns) {
    this.#needed = columns;
    for (const held of this.#columns.keys()) if (!columns.includes(held)) this.#columns.delete(held);
    if (this.#loading && this.#loading.index !== this.#missing()) this.#loading.abort.abort();
    void this.#fill();
  }

  close() {
    this.#available = 0;
    this.#loading?.abort.abort();
    this.#columns.clear();
  }

  /** The most urgent column that is available but not loaded. */
  #missing() {
    return this.#needed.find((index) => index < this.#available && !this.#columns.has(index));
  }

  /** Loads one missing column after another; only one such loop runs at a time. */
  async #fill() {
    if (this.#filling) return;
    this.#filling = true;
    let failures = 0;
    for (let index = this.#missing(); index !== undefined; index = this.#missing()) {
      const error = await this.#load(index);
      failures = error ? failures + 1 : 0;
      if (error) await pause(RETRY_SECONDS[Math.min(failures, RETRY_SECONDS.length) - 1]);
    }
    this.#filling = false;
  }

  /** @param {number} index @returns {Promise<Error | null>} */
  async #load(index) {
    const abort = new AbortController();
    this.#loading = { index, abort };
    const fetched = this.stems.map((stem) => this.#fetch(stem, index, abort.signal));
    const column = await Promise.all(fetched).catch(asError);
    this.#loading = null;
    if (abort.signal.aborted) return null;
    if (column instanceof Error)
      abort.abort(); // the other stems of a failed column are of no use
    else this.#columns.set(index, column);
    const error = column instanceof Error ? column : null;
    this.onChange(error);
    return error;
  }

  /** @param {Stem} stem @param {number} index @param {AbortSignal} signal */
  async #fetch(stem, index, signal) {
    const response = await fetch(stem.segmentsUrl.replace("{index}", String(index)), { signal });
    if (!response.ok) throw new Error(`${response.url}: HTTP ${response.status}`);
    return this.#decode(await response.arrayBuffer(), signal);
  }

  /**
   * Decodes one file at a time: decoding briefly takes several times the result's memory, which browsers are slow to
   * free.
   * @param {ArrayBuffer} data @param {AbortSignal} signal @returns {Promise<AudioBuffer>}
   */
  #decode(data, signal) {
    const decoded = this.#decoding.then(() => {
      signal.throwIfAborted();
      return this.decode(data);
    });
    this.#decoding = decoded.catch(() => undefined);
    return decoded;
  }
}

/**
 * Columns needed at a position, most urgent first: what follows it, also around a loop, then what people are likely to
 * go back to.
 * @param {number} frame @param {{samples: number, segment: number}} song
 * @param {{start: number, end: number} | null} loop frames
 * @returns {number[]}
 */
export function neededColumns(frame, { samples, segment }, loop) {
  const columns = new Set();
  for (let step = 0; step < AHEAD && frame < samples; step++) {
    const column = Math.floor(frame / segment);
    columns.add(column);
    const end = (column + 1) * segment;
    frame = loop && frame < loop.end && end >= loop.end ? loop.start : end;
  }
  const back = loop ? Math.floor(loop.start / segment) : Math.min(...columns) - 1;
  return [...columns.add(back)].filter((column) => column >= 0 && column < samples / segment);
}

/** @param {unknown} reason @returns {Error} */
const asError = (reason) => (reason instanceof Error ? reason : new Error(String(reason)));

/** @param {number} seconds @returns {Promise<void>} */
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

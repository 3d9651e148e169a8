/**
 * The few seconds of every stem around the playhead: fetched, decoded, and dropped again.
 * A song is cut into segments; one segment of all stems is a column, and only whole columns are handed out.
 */

/** Columns kept behind and ahead of the playhead. Four columns of six stereo stems are 85 MB, however long the song. */
const BEHIND = 1;
const AHEAD = 2;

/** Pauses between tries while the server cannot be reached, seconds; the last one repeats. */
const RETRY_SECONDS = [0.5, 1, 2, 4, 8];

/**
 * @typedef {object} Stem
 * @property {string} name
 * @property {string} segmentsUrl address with `{index}` where the segment's number goes
 */

export class SegmentWindow {
  /** @type {Map<number, AudioBuffer[]>} */
  #columns = new Map();
  /** @type {{index: number, abort: AbortController} | null} */
  #loading = null;
  #filling = false;
  #available = 0;
  #centre = 0;

  /**
   * @param {readonly Stem[]} stems
   * @param {(data: ArrayBuffer) => Promise<AudioBuffer>} decode
   * @param {(error: Error | null) => void} onChange called after each column (null) and each failed try (its error)
   */
  constructor(stems, decode, onChange) {
    this.stems = stems;
    this.decode = decode;
    this.onChange = onChange;
  }

  /** How many columns exist on the server. */
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

  /** Moves the window: forgets what is outside it and fetches what is missing, nearest first. @param {number} index */
  moveTo(index) {
    this.#centre = index;
    for (const held of this.#columns.keys()) {
      if (held < index - BEHIND || held > index + AHEAD) this.#columns.delete(held);
    }
    if (this.#loading && this.#loading.index !== this.#missing()) this.#loading.abort.abort();
    void this.#fill();
  }

  close() {
    this.#available = 0;
    this.#loading?.abort.abort();
    this.#columns.clear();
  }

  /** The nearest index that should be here, can be fetched and is not here; those ahead come first. */
  #missing() {
    const ahead = Array.from({ length: AHEAD + 1 }, (_, step) => this.#centre + step);
    const behind = Array.from({ length: BEHIND }, (_, step) => this.#centre - 1 - step);
    const fetchable = [...ahead, ...behind].filter((index) => index >= 0 && index < this.#available);
    return fetchable.find((index) => !this.#columns.has(index));
  }

  /** Loads one missing column after the other; one such loop runs at a time. */
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
    if (column instanceof Error) abort.abort(); // the other stems of a failed column are of no use
    else this.#columns.set(index, column);
    const error = column instanceof Error ? column : null;
    this.onChange(error);
    return error;
  }

  /** @param {Stem} stem @param {number} index @param {AbortSignal} signal */
  async #fetch(stem, index, signal) {
    const response = await fetch(stem.segmentsUrl.replace("{index}", String(index)), { signal });
    if (!response.ok) throw new Error(`${response.url}: HTTP ${response.status}`);
    return this.decode(await response.arrayBuffer());
  }
}

/** @param {unknown} reason @returns {Error} */
const asError = (reason) => (reason instanceof Error ? reason : new Error(String(reason)));

/** @param {number} seconds @returns {Promise<void>} */
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

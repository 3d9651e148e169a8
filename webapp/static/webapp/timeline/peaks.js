/** Fetches the waveforms' peaks, repeatedly while more of the song is being separated. */

import { fetchPeaks } from "../lib/api.js";

/** @typedef {import("../lib/api.js").JobAudio} JobAudio */

/** Quiet songs are magnified, but not so much that noise looks like music. */
export const MIN_SCALE = 32;
/**
 * Growth of the available part after which peaks are fetched again, so that long songs are not fetched over and over.
 */
const GROWTH = 1.05;
const RETRY = 5000;

export class Peaks {
  #loading = false;
  /** @type {JobAudio | null} */
  #audio = null;
  /** The state at the last fetch. @type {JobAudio | null} */
  #shown = null;

  /**
   * @param {readonly string[]} urls
   * @param {(peaks: Int8Array[]) => void} onPeaks called with peaks in the order of the URLs
   * @param {AbortSignal} signal ends it
   */
  constructor(urls, onPeaks, signal) {
    this.urls = urls;
    this.onPeaks = onPeaks;
    this.signal = signal;
  }

  /** @param {JobAudio} audio current state of the song */
  update(audio) {
    this.#audio = audio;
    void this.#refresh();
  }

  async #refresh() {
    const audio = this.#audio;
    if (!audio || this.#loading || this.signal.aborted || !isDue(audio, this.#shown)) return;
    this.#loading = true;
    try {
      const peaks = await Promise.all(this.urls.map(fetchPeaks));
      if (this.signal.aborted) return;
      this.onPeaks(peaks);
      this.#shown = audio;
    } catch {
      setTimeout(() => this.#refresh(), RETRY); // playback does not need them
    }
    this.#loading = false;
  }
}

/** @param {JobAudio} audio @param {JobAudio | null} shown */
function isDue(audio, shown) {
  if (shown === null || isComplete(audio)) return shown === null || !isComplete(shown);
  return known(audio) >= Math.max(known(shown) + 1, known(shown) * GROWTH);
}

/** @param {JobAudio} audio */
const isComplete = ({ segments_done, segment, samples }) => segments_done * segment >= samples;

/** Segments that are available, including those of the draft. @param {JobAudio} audio */
const known = ({ segments_done, draft_done }) => segments_done + draft_done;

/**
 * Returns one scale for all lanes, so that their heights can be compared.
 * @param {readonly Int8Array[]} lanes
 * @returns {number}
 */
export function commonScale(lanes) {
  return lanes.reduce((scale, peaks) => peaks.reduce((top, peak) => Math.max(top, Math.abs(peak)), scale), MIN_SCALE);
}

/** Returns a stem's energy in a unit that is the same for all stems. @param {Int8Array} peaks @returns {number} */
export const energy = (peaks) => peaks.reduce((sum, peak) => sum + peak * peak, 0);

/** The waveforms' figures, fetched anew as more of the song is separated. */

import { fetchPeaks } from "../lib/api.js";

/** @typedef {import("../lib/api.js").JobAudio} JobAudio */

/** Quiet songs are drawn larger, but not so much that noise looks like music. */
export const MIN_SCALE = 32;
/** Fetched anew when this much more of the song is there, so that long songs are not fetched over and over. */
const GROWTH = 1.05;
const RETRY = 5000;

export class Peaks {
  #loading = false;
  /** @type {JobAudio | null} */
  #audio = null;
  /** What was known when they were last fetched. @type {JobAudio | null} */
  #shown = null;

  /**
   * @param {readonly string[]} urls
   * @param {(peaks: Int8Array[]) => void} onPeaks in the order of their addresses
   * @param {AbortSignal} signal ends it
   */
  constructor(urls, onPeaks, signal) {
    this.urls = urls;
    this.onPeaks = onPeaks;
    this.signal = signal;
  }

  /** @param {JobAudio} audio how far the song is */
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
      setTimeout(() => this.#refresh(), RETRY); // the sound does not need them; they come when they can
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

/** Segments, also those of the draft. @param {JobAudio} audio */
const known = ({ segments_done, draft_done }) => segments_done + draft_done;

/** One scale for all lanes, so that their heights compare. @param {readonly Int8Array[]} lanes @returns {number} */
export function commonScale(lanes) {
  return lanes.reduce((scale, peaks) => peaks.reduce((top, peak) => Math.max(top, Math.abs(peak)), scale), MIN_SCALE);
}

/** How much a stem has to say in the mix, on one scale for all stems. @param {Int8Array} peaks @returns {number} */
export const energy = (peaks) => peaks.reduce((sum, peak) => sum + peak * peak, 0);

/** One lane's drawing: its waveform from the server's peaks, the playhead, and seeking by click or drag. */

import WaveSurfer from "../vendor/wavesurfer/wavesurfer.esm.js";
import Timeline from "../vendor/wavesurfer/plugins/timeline.esm.js";
import { clock } from "./status.js";

/** The server's peaks: pairs of signed bytes, this many a second. */
const PEAKS_PER_SECOND = 100;
/** Quiet songs are drawn larger, but not so much that noise looks like music. */
const SMALLEST_SCALE = 32;

/** More columns than any screen has pixels; longer songs are drawn coarser. */
const MAX_COLUMNS = 16_384;

/**
 * @typedef {object} WaveformOptions
 * @property {number} duration seconds of the whole song, drawn at full width before all of it is known
 * @property {number} height pixels
 * @property {HTMLElement | null} ruler where to draw times, if anywhere
 * @property {(seconds: number) => void} onSeek
 */

export class Waveform {
  #end = new AbortController();

  /** @param {HTMLElement} container @param {WaveformOptions} options */
  constructor(container, { duration, height, ruler, onSeek }) {
    this.duration = duration;
    this.wave = WaveSurfer.create({
      container,
      duration,
      height,
      peaks: toChannels(new Int8Array(), duration, SMALLEST_SCALE),
      cursorWidth: 1,
      ...colours(container),
      dragToSeek: { debounceTime: 0 },
      plugins: ruler ? [Timeline.create({ container: ruler, height: 22, secondaryLabelOpacity: 0.6, formatTimeCallback: clock })] : [],
    });
    const recolour = () => this.wave.setOptions(colours(container));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour, { signal: this.#end.signal });
    adoptStyle(/** @type {ShadowRoot} */ (this.wave.getWrapper().getRootNode()));
    this.wave.on("click", (fraction) => onSeek(fraction * duration));
    this.wave.on("dragend", (fraction) => onSeek(fraction * duration));
  }

  /** @param {Int8Array} peaks lowest and highest by turns, of as much of the song as is known @param {number} scale what fills the lane */
  setPeaks(peaks, scale) {
    this.wave.load("", toChannels(peaks, this.duration, scale), this.duration).catch(() => undefined); // a later one came
  }

  destroy() {
    this.#end.abort();
    this.wave.destroy();
  }

  /** @param {number} seconds */
  setPosition(seconds) {
    this.wave.setTime(seconds);
  }
}

/**
 * The style sheet's colours: what is still to be heard is drawn paler than what was heard. Pale means opaque and near
 * the ground, because wavesurfer gives both parts the transparency of the first.
 * @param {HTMLElement} container
 */
function colours(container) {
  const style = getComputedStyle(container);
  return {
    waveColor: style.color,
    progressColor: style.getPropertyValue("--stem"),
    cursorColor: style.getPropertyValue("--ink"),
  };
}

/**
 * Gives wavesurfer's style sheet to its shadow root once more, in the form that a strict content security policy,
 * which refuses <style> elements, allows.
 * @param {ShadowRoot} shadow
 */
function adoptStyle(shadow) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(shadow.querySelector("style")?.textContent ?? "");
  shadow.adoptedStyleSheets = [sheet];
}

/** One scale for all lanes, so that their heights compare. @param {readonly Int8Array[]} lanes @returns {number} */
export function commonScale(lanes) {
  return lanes.reduce((scale, peaks) => peaks.reduce((top, peak) => Math.max(top, Math.abs(peak)), scale), SMALLEST_SCALE);
}

/**
 * What wavesurfer draws above and below its middle line, silent where the song is not known yet.
 * @param {Int8Array} peaks @param {number} duration @param {number} scale @returns {[Float32Array, Float32Array]} highs and lows
 */
function toChannels(peaks, duration, scale) {
  const pairs = Math.max(1, Math.ceil(duration * PEAKS_PER_SECOND));
  const step = Math.ceil(pairs / MAX_COLUMNS);
  const lows = new Float32Array(Math.ceil(pairs / step));
  const highs = new Float32Array(lows.length);
  const known = Math.min(pairs, Math.floor(peaks.length / 2));
  for (let pair = 0; pair < known; pair++) {
    const column = Math.floor(pair / step);
    lows[column] = Math.min(lows[column], peaks[2 * pair] / scale);
    highs[column] = Math.max(highs[column], peaks[2 * pair + 1] / scale);
  }
  return [highs, lows];
}

/** A song's picture in the list: its cover, or else its waveform. It is fetched when it comes near the viewport. */

import { fetchPeaks } from "../lib/api.js";

/** @typedef {import("../lib/api.js").Job} Job */

const SVG = "http://www.w3.org/2000/svg";
/** Margin around the viewport within which pictures are fetched. */
const AHEAD = "200px";

/** Fetches of boxes that are not near the viewport yet. @type {WeakMap<Element, () => void>} */
const waiting = new WeakMap();
const nearing = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) begin(target);
  },
  { rootMargin: AHEAD },
);

/** @param {Element} box */
function begin(box) {
  nearing.unobserve(box);
  waiting.get(box)?.();
  waiting.delete(box);
}

export class Thumbnail {
  /** @type {string | null} */
  #url = null;

  /** @param {HTMLElement} box decorative, hidden from screen readers */
  constructor(box) {
    this.box = box;
  }

  /** @param {Job} job */
  update(job) {
    const url = job.cover_url ?? job.thumbnail_url;
    if (url === this.#url) return;
    this.#url = url;
    waiting.set(this.box, () =>
      job.cover_url ? this.#showCover(job.cover_url, job.thumbnail_url) : this.#showWaveform(url),
    );
    nearing.unobserve(this.box);
    nearing.observe(this.box);
  }

  /**
   * @param {string} url
   * @param {string | null} instead URL of the waveform's peaks, in case the cover cannot be shown
   */
  #showCover(url, instead) {
    const image = new Image();
    image.alt = "";
    image.onerror = () => this.#showWaveform(instead);
    image.src = url;
    this.box.replaceChildren(image);
  }

  /** Leaves the box as it is without a URL. @param {string | null} url */
  #showWaveform(url) {
    if (url)
      fetchPeaks(url).then(
        (peaks) => this.box.replaceChildren(waveform(peaks)),
        () => undefined,
      );
  }
}

/**
 * Draws a vector image, which takes its colour from the style sheet in light and dark mode.
 * @param {Int8Array} peaks pairs of lowest and highest
 * @param {number} scale peak that fills the height
 * @returns {SVGSVGElement}
 */
export function waveform(peaks, scale = peaks.reduce((top, peak) => Math.max(top, Math.abs(peak)), 1)) {
  const columns = Math.floor(peaks.length / 2);
  const point = (/** @type {number} */ column, /** @type {number} */ peak) => `${column} ${(-peak / scale).toFixed(3)}`;
  const highs = Array.from({ length: columns }, (_, column) => point(column, peaks[2 * column + 1]));
  const lows = Array.from({ length: columns }, (_, column) => point(column, peaks[2 * column])).reverse();
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 -1.1 ${Math.max(columns - 1, 1)} 2.2`);
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("class", "waveform-small");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", `M${[...highs, ...lows].join("L")}Z`);
  drawing.append(path);
  return drawing;
}

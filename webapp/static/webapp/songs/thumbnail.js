/** A song's picture in the list: its cover, or else its waveform. Fetched when it comes near the window. */

import { fetchPeaks } from "../lib/api.js";

/** @typedef {import("../lib/api.js").Job} Job */

const SVG = "http://www.w3.org/2000/svg";
/** Pixels around the window in which pictures are fetched ahead. */
const AHEAD = "200px";

/** What to do once a box is near. @type {WeakMap<Element, () => void>} */
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

  /** @param {HTMLElement} box decoration: it says nothing to a screen reader */
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

  /** @param {string} url @param {string | null} instead a waveform, if the cover cannot be shown */
  #showCover(url, instead) {
    const image = new Image();
    image.alt = "";
    image.onerror = () => this.#showWaveform(instead);
    image.src = url;
    this.box.replaceChildren(image);
  }

  /** The box stays as it is where there is none. @param {string | null} url */
  #showWaveform(url) {
    if (url)
      fetchPeaks(url).then(
        (peaks) => this.box.replaceChildren(waveform(peaks)),
        () => undefined,
      );
  }
}

/**
 * A vector picture, because it takes its colour from the style sheet, in the dark too.
 * @param {Int8Array} peaks lowest and highest by turns @param {number} scale what fills the picture @returns {SVGSVGElement}
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

/** A stem's spectrogram, drawn over its waveform on demand. */

import { fetchSpectrogram } from "../lib/api.js";

/** Bands are spaced evenly in pitch between these, Hz. */
const [LOWEST, HIGHEST] = [40, 18_000];
const MARKS = [
  { hertz: 100, text: "100 Hz" },
  { hertz: 1000, text: "1 kHz" },
  { hertz: 10_000, text: "10 kHz" },
];
/**
 * Nine stops of matplotlib's "magma" (public domain), which is perceptually uniform, also in greyscale and for
 * colour-blind people.
 */
const MAGMA = [
  [0, 0, 4],
  [28, 16, 68],
  [79, 18, 123],
  [129, 37, 129],
  [181, 54, 122],
  [229, 80, 100],
  [251, 135, 97],
  [254, 194, 135],
  [252, 253, 191],
];
const WHITE = [255, 255, 255];
/** Levels below this (of 255) are noise that would obscure the rest. */
const FLOOR = 40;

export class Spectrogram {
  canvas = document.createElement("canvas");
  marks = MARKS.map(({ hertz, text }) => mark(hertz, text));

  /**
   * @param {import("../lib/api.js").SpectrogramData} data @param {string} name of the stem
   * @param {import("./timeline-pane.js").TimelinePane} pane the spectrogram covers it and is stretched with it, so that
   *   times agree
   */
  constructor(data, name, pane) {
    this.data = data;
    Object.assign(this.canvas, { width: data.columns, height: data.bands, role: "img" });
    this.canvas.ariaLabel = `Spectrogram of ${name}, from ${LOWEST} Hz at the bottom to ${HIGHEST / 1000} kHz`;
    Object.assign(this.canvas.style, {
      inset: "0",
      width: "100%",
      height: "100%",
      zIndex: "3",
      imageRendering: "auto",
      pointerEvents: "none",
    });
    pane.wave.getWrapper().append(this.canvas);
    pane.container.append(...this.marks);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    this.end = new AbortController();
    dark.addEventListener("change", () => this.#draw(dark.matches), { signal: this.end.signal });
    this.#draw(dark.matches);
  }

  remove() {
    this.end.abort();
    for (const element of [this.canvas, ...this.marks]) element.remove();
  }

  /** Silence has the colour of the page's background in light and dark mode. @param {boolean} dark */
  #draw(dark) {
    const { columns, bands, levels } = this.data;
    const palette = colours(dark);
    const image = new ImageData(columns, bands);
    const pixels = new Uint32Array(image.data.buffer);
    for (let band = 0; band < bands; band++) {
      const row = (bands - 1 - band) * columns;
      for (let column = 0; column < columns; column++) pixels[row + column] = palette[levels[column * bands + band]];
    }
    this.canvas.getContext("2d")?.putImageData(image, 0, 0);
  }
}

/**
 * @param {string} url
 * @param {string} name
 * @param {import("./timeline-pane.js").TimelinePane} pane
 * @returns {Promise<Spectrogram>}
 */
export async function drawSpectrogram(url, name, pane) {
  return new Spectrogram(await fetchSpectrogram(url), name, pane);
}

/** @param {boolean} dark @returns {Uint32Array} one pixel for each of 256 levels */
function colours(dark) {
  const stops = dark ? MAGMA : [...MAGMA.slice(0, -1), WHITE];
  const pixels = new Uint8ClampedArray(4 * 256);
  for (let level = 0; level < 256; level++) {
    const loudness = Math.max(0, level - FLOOR) / (255 - FLOOR);
    const place = (dark ? loudness : 1 - loudness) * (stops.length - 1);
    const below = Math.min(Math.floor(place), stops.length - 2);
    stops[below].forEach((value, part) => {
      pixels[4 * level + part] = value + (stops[below + 1][part] - value) * (place - below);
    });
    pixels[4 * level + 3] = 255;
  }
  return new Uint32Array(pixels.buffer);
}

/** @param {number} hertz @param {string} text */
function mark(hertz, text) {
  const element = document.createElement("span");
  element.className = "hertz";
  element.textContent = text;
  element.ariaHidden = "true"; // the image's name states the range
  element.style.bottom = `${(100 * Math.log(hertz / LOWEST)) / Math.log(HIGHEST / LOWEST)}%`;
  return element;
}

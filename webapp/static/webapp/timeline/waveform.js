/** A lane's waveform, drawn from the server's peaks; a click or drag seeks. */

import { MIN_SCALE } from "./peaks.js";
import { TimelinePane } from "./timeline-pane.js";

/** The server's peaks: this many pairs of signed bytes per second. */
const PEAKS_PER_SECOND = 100;
/** Enough for ten minutes at full resolution; longer songs are drawn coarser. */
const MAX_COLUMNS = 65_536;

export class Waveform extends TimelinePane {
  /**
   * @param {HTMLElement} container
   * @param {number} duration seconds of the whole song, even while only part of it is available
   * @param {(seconds: number) => void} onSeek
   * @param {number} height pixels
   */
  constructor(container, duration, onSeek, height = container.clientHeight) {
    super(container, duration, {
      height,
      peaks: toChannels(new Int8Array(), duration, MIN_SCALE),
      renderFunction: drawColumns,
      dragToSeek: { debounceTime: 0 },
    });
    container.addEventListener(
      "pointerdown",
      (event) => {
        if (event.pointerType === "touch") event.stopPropagation(); // a swipe scrolls, it does not drag
      },
      { capture: true },
    );
    this.onClick(onSeek);
    this.wave.on("dragend", (fraction) => onSeek(fraction * duration));
  }

  /**
   * @param {Int8Array} peaks pairs of lowest and highest, of the available part
   * @param {number} scale peak that fills the lane
   */
  setPeaks(peaks, scale) {
    this.wave.load("", toChannels(peaks, this.duration, scale), this.duration).catch(() => undefined); // superseded by a later call
  }
}

/**
 * Converts peaks to what wavesurfer draws above and below its middle line; silent where nothing is available yet.
 * @param {Int8Array} peaks
 * @param {number} duration
 * @param {number} scale
 * @returns {[Float32Array, Float32Array]} highs and lows
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

/**
 * Draws one of wavesurfer's adjacent canvases. Its own renderer returns to the middle line at both ends of a canvas,
 * which leaves a notch wherever two of them meet.
 * @param {(Float32Array | number[])[]} peaks highs and lows @param {CanvasRenderingContext2D} pen
 */
function drawColumns([highs, lows], pen) {
  const { width, height } = pen.canvas;
  const middle = height / 2;
  const peakAt = (/** @type {number} */ x) => Math.floor((x * highs.length) / width);
  pen.beginPath();
  for (let x = 0; x < width; x++) {
    let [high, low] = [0, 0];
    for (let peak = peakAt(x); peak < Math.max(peakAt(x + 1), peakAt(x) + 1); peak++) {
      high = Math.max(high, highs[peak]);
      low = Math.min(low, lows[peak]);
    }
    const top = Math.min(middle * (1 - high), middle - 1); // silence is a line
    pen.rect(x, top, 1, Math.max(middle * (1 - low), middle + 1) - top);
  }
  pen.fill();
}

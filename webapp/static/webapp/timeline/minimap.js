/**
 * An overview of the whole song while the lanes show a part of it. It shows which part that is, and moves it.
 * wavesurfer's own minimap violates a strict content security policy.
 */

import { clock } from "../lib/format.js";
import { Waveform } from "./waveform.js";

const HEIGHT = 28;
/** Step of an arrow key, as a fraction of the visible part. */
const STEP = 0.25;

export class Minimap {
  #visible = { start: 0, end: 0 };
  /** Distance of the pointer from the start of the visible part, seconds. */
  #grabOffset = 0;

  /**
   * @param {HTMLElement} root a role="scrollbar" with .whole and .visible
   * @param {number} duration seconds
   * @param {(start: number) => void} onMove called with the first second to show
   * @param {AbortSignal} signal
   */
  constructor(root, duration, onMove, signal) {
    this.root = root;
    this.duration = duration;
    this.onMove = onMove;
    this.whole = /** @type {HTMLElement} */ (root.querySelector(".whole"));
    this.frame = /** @type {HTMLElement} */ (root.querySelector(".visible"));
    this.waveform = new Waveform(this.whole, duration, () => undefined, HEIGHT); // a fixed height, because it is hidden at first
    this.waveform.wave.toggleInteraction(false);
    root.ariaValueMin = "0";
    root.ariaValueMax = String(Math.round(duration));
    root.addEventListener("pointerdown", (event) => this.#grab(event), { signal });
    root.addEventListener("pointermove", (event) => this.#drag(event), { signal });
    root.addEventListener("click", (event) => this.#onClick(/** @type {PointerEvent} */ (event)), { signal });
    root.addEventListener("keydown", (event) => this.#onKey(event), { signal });
  }

  /** @param {number} start @param {number} end seconds */
  showVisible(start, end) {
    this.#visible = { start, end };
    this.root.hidden = end - start > 0.999 * this.duration;
    this.frame.style.left = `${(100 * start) / this.duration}%`;
    this.frame.style.width = `${(100 * (end - start)) / this.duration}%`;
    this.root.ariaValueNow = String(Math.round(start));
    this.root.ariaValueText = `${clock(start)} to ${clock(end)}`;
  }

  destroy() {
    this.waveform.destroy();
    this.root.hidden = true;
  }

  /**
   * A mouse moves the visible part at once. A finger may be about to scroll the page, so it does so with a tap.
   * @param {PointerEvent} event
   */
  #grab(event) {
    this.root.setPointerCapture(event.pointerId);
    const { start, end } = this.#visible;
    this.#grabOffset = event.pointerType === "touch" ? this.#secondsAt(event) - start : (end - start) / 2;
    if (event.pointerType !== "touch") this.#drag(event);
  }

  /** @param {PointerEvent} event */
  #drag(event) {
    if (this.root.hasPointerCapture(event.pointerId)) this.onMove(this.#secondsAt(event) - this.#grabOffset);
  }

  /** @param {PointerEvent} event */
  #onClick(event) {
    const { start, end } = this.#visible;
    if (event.pointerType === "touch") this.onMove(this.#secondsAt(event) - (end - start) / 2);
  }

  /** @param {PointerEvent} event @returns {number} seconds */
  #secondsAt({ clientX }) {
    const { left, width } = this.root.getBoundingClientRect();
    return ((clientX - left) / width) * this.duration;
  }

  /** @param {KeyboardEvent} event */
  #onKey({ code }) {
    const { start, end } = this.#visible;
    if (code === "ArrowLeft") this.onMove(start - STEP * (end - start));
    if (code === "ArrowRight") this.onMove(start + STEP * (end - start));
  }
}

/** A strip along the song's time axis with playhead and loop: the base of waveforms, ruler and minimap. */

import WaveSurfer from "../../vendor/wavesurfer/wavesurfer.esm.js";

/** @typedef {import("../audio/mix-query.js").Span} Span */

/** Panes scroll together, and the minimap shows where: with a mouse, scroll bars of their own only get in the way. */
const STYLE = "@media (pointer: fine) { .scroll { overflow-x: hidden !important; } }";
/** Above the waveform and the spectrogram, below the playhead. */
const LOOP_LAYER = "4";

export class TimelinePane {
  #loop = document.createElement("div");
  #end = new AbortController();

  /**
   * @param {HTMLElement} container
   * @param {number} duration seconds of the whole song
   * @param {Partial<import("wavesurfer.js").WaveSurferOptions>} options
   */
  constructor(container, duration, options) {
    this.container = container;
    this.duration = duration;
    const look = { cursorWidth: 1, hideScrollbar: true, autoScroll: false, ...colours(container) };
    this.wave = WaveSurfer.create({ container, duration, ...look, ...options });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.wave.setOptions(colours(container)), { signal: this.#end.signal });
    adoptStyle(/** @type {ShadowRoot} */ (this.wave.getWrapper().getRootNode()));
    Object.assign(this.#loop.style, {
      position: "absolute",
      inset: "0 auto",
      pointerEvents: "none",
      zIndex: LOOP_LAYER,
    });
    this.#loop.style.backgroundColor = "var(--loop)";
    this.wave.getWrapper().append(this.#loop);
  }

  /** @param {(seconds: number) => void} onSeek called for a click */
  onClick(onSeek) {
    this.wave.on("click", (fraction) => onSeek(fraction * this.duration));
  }

  /** @param {number} seconds */
  setPosition(seconds) {
    this.wave.setTime(seconds);
  }

  /** @param {Span | null} loop */
  showLoop(loop) {
    this.#loop.hidden = loop === null;
    if (!loop) return;
    this.#loop.style.left = `${(100 * loop.start) / this.duration}%`;
    this.#loop.style.width = `${(100 * (loop.end - loop.start)) / this.duration}%`;
  }

  /** @param {number} pixels per second; 0 shows the whole song */
  zoom(pixels) {
    this.wave.setOptions({ minPxPerSec: pixels });
  }

  destroy() {
    this.#end.abort();
    this.wave.destroy();
  }
}

/**
 * Colours from the style sheet: the part after the playhead is paler than the part before it. Pale colours are opaque
 * and close to the background, because wavesurfer gives both parts the transparency of the first.
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
 * Adds wavesurfer's style sheet to its shadow root again as a constructed style sheet, because a strict content
 * security policy blocks its <style> element.
 * @param {ShadowRoot} shadow
 */
function adoptStyle(shadow) {
  const [theirs, ours] = [new CSSStyleSheet(), new CSSStyleSheet()];
  theirs.replaceSync(shadow.querySelector("style")?.textContent ?? "");
  ours.replaceSync(STYLE);
  shadow.adoptedStyleSheets = [theirs, ours];
}

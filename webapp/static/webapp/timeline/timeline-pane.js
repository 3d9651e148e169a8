/** A strip along the time of the song, with the playhead and the loop: what waveforms, ruler and minimap have in common. */

import WaveSurfer from "../../vendor/wavesurfer/wavesurfer.esm.js";

/** @typedef {import("../audio/mix-query.js").Span} Span */

/** Panes scroll together and say where they are in the minimap: with a mouse, scroll bars of their own are in the way. */
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

  /** @param {(seconds: number) => void} onSeek a click */
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

  /** @param {number} pixels a second; 0: the whole song in sight */
  zoom(pixels) {
    this.wave.setOptions({ minPxPerSec: pixels });
  }

  destroy() {
    this.#end.abort();
    this.wave.destroy();
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
  const [theirs, ours] = [new CSSStyleSheet(), new CSSStyleSheet()];
  theirs.replaceSync(shadow.querySelector("style")?.textContent ?? "");
  ours.replaceSync(STYLE);
  shadow.adoptedStyleSheets = [theirs, ours];
}

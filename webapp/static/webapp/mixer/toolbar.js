/** Controls for the song as a whole: loop, tempo, pitch, zoom, and a link to the mix. */

import { exact, toQuery } from "../audio/mix-query.js";
import { find, write } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { showSlider, wireSlider } from "./fader.js";
import { linkTo } from "./mix-storage.js";

/**
 * @typedef {import("../audio/engine.js").Engine} Engine
 * @typedef {import("../audio/mix-query.js").Span} Span
 * @typedef {import("../timeline/viewport.js").Viewport} Viewport
 */

export class Toolbar {
  /** The last loop, restored when looping is turned on again. @type {Span | null} */
  #last = null;

  /**
   * @param {HTMLElement} root the mixer
   * @param {Engine} engine
   * @param {Viewport} view
   * @param {AbortSignal} signal removes the listeners
   */
  constructor(root, engine, view, signal) {
    this.root = root;
    this.engine = engine;
    this.view = view;
    this.signal = signal;
    this.tempo = /** @type {HTMLInputElement} */ (find(root, "#tempo"));
    this.pitch = /** @type {HTMLInputElement} */ (find(root, "#pitch"));
    this.#onClick({
      loop: () => this.toggleLoop(),
      in: () => this.loopFromHere(),
      out: () => this.loopToHere(),
      "zoom-in": () => view.zoom(1),
      "zoom-out": () => view.zoom(-1),
      fit: () => view.fit(),
      "tempo-reset": () => engine.setTempo(1),
      "pitch-reset": () => engine.setPitch(0),
      link: () => void this.#copyLink(),
      help: () => this.help(),
    });
    this.#wireSlider(this.tempo, (percent) => engine.setTempo(percent / 100), 100);
    this.#wireSlider(this.pitch, (semitones) => engine.setPitch(semitones), 0);
  }

  /** Shows the engine's state. */
  show() {
    const { tempo, pitch, loop, canProcess } = this.engine;
    const semitones = `${pitch > 0 ? "+" : ""}${pitch}`.replace("-", "−");
    showSlider(this.tempo, Math.round(100 * tempo), `${Math.round(100 * tempo)}%`);
    showSlider(this.pitch, pitch, `${semitones} st`);
    this.pitch.ariaValueText = `${semitones} semitones`;
    for (const id of ["tempo", "pitch", "tempo-reset", "pitch-reset"]) {
      /** @type {HTMLInputElement | HTMLButtonElement} */ (find(this.root, `#${id}`)).disabled = !canProcess;
    }
    find(this.root, "#cannot-process").hidden = canProcess;
    find(this.root, "#loop").ariaPressed = String(loop !== null);
    write(find(this.root, "#loop-text"), loop ? `${clock(loop.start)}–${clock(loop.end)}` : "");
    this.#last = loop ?? this.#last;
  }

  /**
   * Turns looping on or off. The first loop is the visible part. A playhead behind the loop moves to where it will play
   * from.
   */
  toggleLoop() {
    if (this.engine.loop) return this.engine.setLoop(null);
    this.setLoop(this.#last ?? { start: this.view.start, end: this.view.end });
    const { loop, position } = /** @type {Engine} */ (this.engine);
    if (loop && position >= loop.end) this.engine.seek(loop.start);
  }

  /** Starts the loop at the playhead. */
  loopFromHere() {
    const { position, duration, loop } = this.engine;
    this.setLoop({ start: position, end: loop && loop.end > position ? loop.end : duration });
  }

  /** Ends the loop at the playhead. */
  loopToHere() {
    const { position, loop } = this.engine;
    this.setLoop({ start: loop && loop.start < position ? loop.start : 0, end: position });
  }

  /** @param {Span} loop ignored if it is empty */
  setLoop({ start, end }) {
    if (exact(start) < exact(end)) this.engine.setLoop(exact(start), exact(end));
  }

  help() {
    /** @type {HTMLDialogElement} */ (find(document, "#keyboard")).showModal();
  }

  /** @param {Record<string, () => void>} actions by a button's id */
  #onClick(actions) {
    for (const [id, action] of Object.entries(actions)) {
      find(this.root, `#${id}`).addEventListener("click", action, { signal: this.signal });
    }
  }

  /** @param {HTMLInputElement} slider @param {(value: number) => void} onChange @param {number} usual */
  #wireSlider(slider, onChange, usual) {
    const set = (/** @type {number} */ value) =>
      onChange(Math.min(Math.max(value, Number(slider.min)), Number(slider.max)));
    wireSlider(
      slider,
      {
        onInput: () => onChange(Number(slider.value)),
        onReset: () => onChange(usual),
        onWheel: (notches) => set(Number(slider.value) + notches),
      },
      this.signal,
    );
  }

  /** Says for whom the link works: songs cannot be shared. */
  get #linkHint() {
    if ("guest" in this.root.dataset)
      return "It opens this mix in this browser only, because your songs are tied to it until you sign up.";
    return "It opens this mix on any device where you are logged in, but for nobody else.";
  }

  /** Without access to the clipboard, as without HTTPS, the link is shown for copying by hand. */
  async #copyLink() {
    const [status, shown] = [
      find(this.root, "#link-status"),
      /** @type {HTMLInputElement} */ (find(this.root, "#link-text")),
    ];
    const link = linkTo(toQuery(this.engine));
    try {
      await navigator.clipboard.writeText(link);
      write(status, `Link copied. ${this.#linkHint}`);
      shown.hidden = true;
    } catch {
      write(status, `Copy this link. ${this.#linkHint}`);
      shown.hidden = false;
      shown.value = link;
      shown.select();
    }
  }
}

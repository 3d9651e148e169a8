/** What is set for the song as a whole: loop, tempo, pitch, what is in sight, and a link that says it all. */

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
  /** The last loop, for when it is switched on again. @type {Span | null} */
  #last = null;

  /** @param {HTMLElement} root the mixer @param {Engine} engine @param {Viewport} view @param {AbortSignal} signal ends it */
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

  /** As the engine has it now. */
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

  /** Off, or on again; the first time it is what is in sight. A playhead behind it goes to where it will play from. */
  toggleLoop() {
    if (this.engine.loop) return this.engine.setLoop(null);
    this.setLoop(this.#last ?? { start: this.view.start, end: this.view.end });
    const { loop, position } = /** @type {Engine} */ (this.engine);
    if (loop && position >= loop.end) this.engine.seek(loop.start);
  }

  /** The loop begins at the playhead. */
  loopFromHere() {
    const { position, duration, loop } = this.engine;
    this.setLoop({ start: position, end: loop && loop.end > position ? loop.end : duration });
  }

  /** The loop ends at the playhead. */
  loopToHere() {
    const { position, loop } = this.engine;
    this.setLoop({ start: loop && loop.start < position ? loop.start : 0, end: position });
  }

  /** @param {Span} loop one without length is none */
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

  /** Whom a link is for: songs are shared with nobody yet. */
  get #linkHint() {
    if ("guest" in this.root.dataset)
      return "It opens this mix in this browser only, because your songs are tied to it until you sign up.";
    return "It opens this mix on any device where you are logged in, but for nobody else.";
  }

  /** Where the browser keeps the clipboard from us, as without https, the link is shown to be copied by hand. */
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

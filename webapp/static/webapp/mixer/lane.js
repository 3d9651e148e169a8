/** A stem's lane: its controls, its waveform, and its spectrogram on demand. */

import { find, fromTemplate, write } from "../lib/dom.js";
import { shadeDraft } from "../timeline/draft-overlay.js";
import { drawSpectrogram } from "../timeline/spectrogram.js";
import { Waveform } from "../timeline/waveform.js";
import { showFader, showPan, wireFader, wirePan } from "./fader.js";
import { MeterBar } from "./meter-bar.js";

/**
 * @typedef {import("../lib/api.js").JobStem} JobStem
 * @typedef {import("../audio/mix-law.js").Lane} LaneState
 * @typedef {object} LaneListener
 * @property {(name: string, change: Partial<Omit<LaneState, "name">>) => void} onChange
 * @property {(name: string) => void} onMute
 * @property {(name: string, only: boolean) => void} onSolo
 * @property {(seconds: number) => void} onSeek
 */

/** Explanations of names that are not obvious. @type {Record<string, string>} */
const HINTS = {
  residual:
    "Sound that was removed from the other lanes because it belongs to none of them alone. All lanes together add up to your song.",
};

export class Lane {
  /** @type {import("../timeline/spectrogram.js").Spectrogram | null} */
  #spectrogram = null;
  /** Whether somebody has expanded a lane that has no sound. */
  #expanded = false;

  /**
   * @param {HTMLElement} place container of the lanes
   * @param {JobStem} stem @param {number} number from 1
   * @param {number} duration seconds
   * @param {LaneListener} listener @param {AbortSignal} signal removes the listeners
   */
  constructor(place, stem, number, duration, listener, signal) {
    this.name = stem.name;
    this.stem = stem;
    /** Whether the draft contains this stem. */
    this.hasDraft = stem.draft_segments_url !== null;
    this.root = laneElement("#lane-template", stem.name);
    place.append(this.root);
    write(find(this.root, ".name"), stem.name);
    find(this.root, ".name").title = HINTS[stem.name] ?? "";
    find(this.root, ".mute").title = `Mute (${number})`;
    find(this.root, ".solo").title = `Solo (Shift+${number}); hold Ctrl or Shift to solo only this lane`;
    this.meter = new MeterBar(this.root);
    this.waveform = new Waveform(find(this.root, ".waveform"), duration, listener.onSeek);
    shadeDraft(this.waveform);
    this.#wire(listener, signal);
  }

  /** @param {Readonly<LaneState>} state @param {boolean} silent whether it is inaudible */
  show({ db, pan, mute, solo }, silent) {
    find(this.root, ".mute").ariaPressed = String(mute);
    find(this.root, ".solo").ariaPressed = String(solo);
    this.root.classList.toggle("silent", silent);
    showFader(find(this.root, ".fader"), db);
    showPan(find(this.root, ".pan"), pan);
  }

  /** Whether this stem is part of what is playing. @param {import("../audio/crossfade.js").Sounding} sounding */
  isIn(sounding) {
    return sounding === "stems" || (sounding === "draft" && this.hasDraft);
  }

  /**
   * @param {JobStem} stem
   * @param {boolean} silent whether its sound is in `other`: then a single line replaces the lane
   */
  update(stem, silent) {
    this.stem = stem;
    this.#collapse(silent && !this.#expanded);
    find(this.root, ".download").hidden = find(this.root, ".spectrum").hidden = stem.download_url === null;
  }

  /** @param {boolean} collapsed */
  #collapse(collapsed) {
    this.root.classList.toggle("collapsed", collapsed);
    find(this.root, ".absent").hidden = !collapsed;
  }

  /** Hides what needs the finished stem, while the stem is being rebuilt. */
  hideFiles() {
    find(this.root, ".download").hidden = find(this.root, ".spectrum").hidden = true;
  }

  /** Resets the meter when playback stops. */
  clear() {
    this.meter.clear();
  }

  destroy() {
    this.#spectrogram?.remove();
    this.waveform.destroy();
    this.root.remove();
  }

  /** @param {LaneListener} listener @param {AbortSignal} signal */
  #wire({ onChange, onMute, onSolo }, signal) {
    const { name, root } = this;
    find(root, ".mute").addEventListener("click", () => onMute(name));
    find(root, ".solo").addEventListener("click", (event) => {
      onSolo(name, event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    });
    find(root, ".absent button").addEventListener("click", () => {
      this.#expanded = true;
      this.#collapse(false);
      root.focus({ preventScroll: true }); // the button has disappeared
    });
    find(root, ".spectrum").addEventListener("click", () => this.#toggleSpectrogram(signal));
    wireFader(find(root, ".fader"), (db) => onChange(name, { db }), signal);
    wirePan(find(root, ".pan"), (pan) => onChange(name, { pan }), signal);
  }

  /** @param {AbortSignal} signal */
  async #toggleSpectrogram(signal) {
    const [button, note] = [/** @type {HTMLButtonElement} */ (find(this.root, ".spectrum")), find(this.root, ".note")];
    const wanted = button.ariaPressed !== "true";
    button.ariaPressed = String(wanted);
    this.#spectrogram?.remove();
    this.#spectrogram = null;
    write(note, wanted ? "Drawing the spectrogram…" : "");
    if (!wanted) return;
    try {
      const drawn = await drawSpectrogram(this.stem.spectrogram_url, this.name, this.waveform);
      if (button.ariaPressed === "true" && !signal.aborted) this.#spectrogram = drawn;
      else drawn.remove();
      write(note, "");
    } catch (error) {
      button.ariaPressed = "false";
      write(note, error instanceof Error ? error.message : String(error));
    }
  }
}

/**
 * @param {string} template
 * @param {string} name
 * @returns {HTMLElement} a lane whose controls have accessible names with the stem's
 */
export function laneElement(template, name) {
  const root = fromTemplate(template);
  root.dataset.stem = name;
  root.ariaLabel = name;
  for (const control of root.querySelectorAll("[data-label-prefix]")) {
    control.ariaLabel = `${control.getAttribute("data-label-prefix")} ${name}`;
  }
  return root;
}

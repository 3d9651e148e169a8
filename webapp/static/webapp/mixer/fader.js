/** Sliders for mixing: faders, pan, tempo and pitch. A double-click, Delete or Backspace resets them. */

import { dbToTravel, MAX_DB, travelToDb } from "../audio/mix-law.js";
import { write } from "../lib/dom.js";
import { decibels } from "../lib/format.js";

/** Faders and pan snap to their neutral position when they are this close to it. */
const SNAP_DB = 0.25;
const SNAP_PAN = 0.03;
/** Step of one notch of the mouse wheel, on a focused slider. */
const WHEEL_DB = 0.1;
/** Values are rounded to hundredths, so that a link reproduces the mix exactly. */
const round = (/** @type {number} */ value) => Math.round(value * 100) / 100;

/**
 * @param {HTMLInputElement} slider
 * @param {object} react
 * @param {() => void} react.onInput
 * @param {() => void} react.onReset
 * @param {((notches: number) => void)} [react.onWheel] called with 1 or -1
 * @param {AbortSignal} signal removes the listeners
 */
export function wireSlider(slider, { onInput, onReset, onWheel }, signal) {
  slider.addEventListener("input", onInput, { signal });
  slider.addEventListener("dblclick", onReset, { signal });
  slider.addEventListener(
    "keydown",
    ({ code }) => {
      if (code === "Delete" || code === "Backspace") onReset();
    },
    { signal },
  );
  if (!onWheel) return;
  slider.addEventListener(
    "wheel",
    (event) => {
      if (!slider.matches(":focus") || event.ctrlKey) return; // let the page scroll or zoom
      event.preventDefault();
      onWheel(event.deltaY < 0 ? 1 : -1);
    },
    { signal, passive: false },
  );
}

/**
 * @param {HTMLInputElement} fader
 * @param {(db: number) => void} onChange
 * @param {AbortSignal} signal removes the listeners
 */
export function wireFader(fader, onChange, signal) {
  const db = () => travelToDb(Number(fader.value));
  wireSlider(
    fader,
    {
      onInput: () => onChange(Math.abs(db()) < SNAP_DB ? 0 : round(db())),
      onReset: () => onChange(0),
      onWheel: (notches) => onChange(Math.min(round(db() + notches * WHEEL_DB), MAX_DB)),
    },
    signal,
  );
}

/** @param {HTMLInputElement} fader @param {number} db */
export function showFader(fader, db) {
  showSlider(fader, dbToTravel(db), db > 0 ? `+${decibels(db)}` : decibels(db));
}

/**
 * @param {HTMLInputElement} slider from -1, left, to 1, right
 * @param {(pan: number) => void} onChange
 * @param {AbortSignal} signal removes the listeners
 */
export function wirePan(slider, onChange, signal) {
  wireSlider(
    slider,
    {
      onInput: () => {
        const pan = Number(slider.value);
        onChange(Math.abs(pan) < SNAP_PAN && !slider.matches(":focus-visible") ? 0 : round(pan));
      },
      onReset: () => onChange(0),
      onWheel: (notches) => onChange(Math.min(Math.max(round(Number(slider.value) + notches / 100), -1), 1)),
    },
    signal,
  );
}

/** @param {HTMLInputElement} slider @param {number} pan */
export function showPan(slider, pan) {
  showSlider(slider, pan, panText(pan));
}

/** @param {number} pan @returns {string} L 30, C or R 30 */
export function panText(pan) {
  const hundredths = Math.round(Math.abs(pan) * 100);
  if (hundredths === 0) return "C";
  return `${pan < 0 ? "L" : "R"} ${hundredths}`;
}

/**
 * @param {HTMLInputElement} slider
 * @param {number} value
 * @param {string} text the value for people, shown beside it and announced
 */
export function showSlider(slider, value, text) {
  const [least, most] = [Number(slider.min), Number(slider.max)];
  slider.value = String(value);
  slider.style.setProperty("--travel", `${(100 * (value - least)) / (most - least)}%`);
  if (slider.ariaValueText !== text) slider.ariaValueText = text;
  const output = slider.parentElement?.querySelector("output");
  if (output) write(output, text);
}

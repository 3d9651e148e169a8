/** Faders and level meters: between decibels and what is seen of them. */

import { find, write } from "./card.js";
import { dbToTravel, gainToDb, travelToDb } from "./gain.js";
import { decibels } from "./status.js";

/** Faders rest at 0 dB when let go this close to it. */
const SNAP_DB = 0.25;
/** Lower end of the level meters. */
const METER_FLOOR_DB = -54;

/** @param {HTMLInputElement} fader @param {(db: number) => void} onChange @param {AbortSignal} signal ends it */
export function wireFader(fader, onChange, signal) {
  const onInput = () => {
    const db = travelToDb(Number(fader.value));
    onChange(Math.abs(db) < SNAP_DB ? 0 : db);
  };
  fader.addEventListener("input", onInput, { signal });
  fader.addEventListener("dblclick", () => onChange(0), { signal });
}

/** @param {HTMLInputElement} fader @param {number} db */
export function showFader(fader, db) {
  const text = db > 0 ? `+${decibels(db)}` : decibels(db);
  fader.value = String(dbToTravel(db));
  fader.style.setProperty("--travel", `${dbToTravel(db) * 100}%`);
  fader.ariaValueText = text;
  const output = fader.parentElement?.querySelector("output");
  if (output) write(output, text);
}

/** @param {HTMLElement} root @param {number} level RMS amplitude */
export function showMeter(root, level) {
  const height = Math.min(1, Math.max(0, 1 - gainToDb(level) / METER_FLOOR_DB));
  find(root, ".meter span").style.transform = `scaleX(${height})`;
}

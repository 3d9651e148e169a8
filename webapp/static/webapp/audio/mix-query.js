/** Converts a mix to a query and back. The query is used in links, in the browser's storage and in export requests. */

import { MAX_DB, PITCH, TEMPO } from "./mix-law.js";

/**
 * @typedef {import("./mix-law.js").Lane} Lane
 * @typedef {{start: number, end: number}} Span seconds
 * @typedef {object} MixState
 * @property {readonly Readonly<Lane>[]} lanes
 * @property {number} masterDb
 * @property {boolean} limiter
 * @property {number} tempo 1: as recorded
 * @property {number} pitch semitones
 * @property {Span | null} loop
 */

/** Keys that concern the whole mix; all others concern one lane. */
const OF_ALL = ["master", "limiter", "tempo", "pitch", "start", "end"];

/**
 * Lists what differs from the defaults; the limiter always, because the API's default is off.
 * @param {MixState} state @returns {URLSearchParams}
 */
export function toQuery({ lanes, masterDb, limiter, tempo, pitch, loop }) {
  const query = new URLSearchParams();
  for (const { name, db, pan, mute, solo } of lanes) {
    if (db !== 0) query.append(name, fromDb(db));
    if (pan !== 0) query.append(`${name}.pan`, String(pan));
    if (mute) query.append("mute", name);
    if (solo) query.append("solo", name);
  }
  if (masterDb !== 0) query.append("master", fromDb(masterDb));
  query.append("limiter", limiter ? "1" : "0");
  if (tempo !== 1) query.append("tempo", String(tempo));
  if (pitch !== 0) query.append("pitch", String(pitch));
  if (loop) {
    query.append("start", String(exact(loop.start)));
    query.append("end", String(exact(loop.end)));
  }
  return query;
}

/**
 * Reads a query for the named lanes. A link may contain anything: invalid values become defaults.
 * @param {URLSearchParams} query @param {readonly string[]} names @param {number} duration seconds @returns {MixState}
 */
export function fromQuery(query, names, duration) {
  return {
    lanes: names.map((name) => ({
      name,
      db: number(query.get(name), -Infinity, MAX_DB, 0),
      pan: number(query.get(`${name}.pan`), -1, 1, 0),
      mute: query.getAll("mute").includes(name),
      solo: query.getAll("solo").includes(name),
    })),
    masterDb: number(query.get("master"), -Infinity, MAX_DB, 0),
    limiter: query.get("limiter") !== "0",
    tempo: number(query.get("tempo"), TEMPO.min, TEMPO.max, 1),
    pitch: number(query.get("pitch"), PITCH.min, PITCH.max, 0),
    loop: span(number(query.get("start"), 0, duration, 0), number(query.get("end"), 0, duration, 0)),
  };
}

/**
 * The part of a query that concerns lanes other than those named.
 * @param {URLSearchParams} query
 * @param {readonly string[]} names
 */
export function ofOtherLanes(query, names) {
  const isOther = (/** @type {[string, string]} */ [key, value]) =>
    !OF_ALL.includes(key) && !names.includes(key === "mute" || key === "solo" ? value : key.replace(/\.pan$/, ""));
  return new URLSearchParams([...query].filter(isOther));
}

/** A loop's ends are rounded to milliseconds, so that a link reproduces the mix exactly. */
export const exact = (/** @type {number} */ seconds) => Math.round(seconds * 1000) / 1000;

/** @param {number} db @returns {string} as the API expects it */
const fromDb = (db) => (db === -Infinity ? "-inf" : String(db));

/** @param {string | null} text @param {number} least @param {number} most @param {number} usual @returns {number} */
function number(text, least, most, usual) {
  const value = text === "-inf" ? -Infinity : Number(text || NaN);
  return Number.isNaN(value) ? usual : Math.min(Math.max(value, least), most);
}

/** @param {number} start @param {number} end @returns {Span | null} */
const span = (start, end) => (start < end ? { start, end } : null);

/** One instrument's probability and timeline, shown in the list of instruments and in its lane. */

import { find, write } from "../lib/dom.js";
import { clock } from "../lib/format.js";

/**
 * @typedef {import("../lib/api.js").Evidence} Evidence
 * @typedef {import("../lib/api.js").Whereabouts} Whereabouts
 * @typedef {import("../lib/api.js").Detected} Detected
 * @typedef {import("../lib/api.js").Detection} Detection
 */

/** Instruments that the detector distinguishes reliably; the others are called likely at best. */
const RELIABLE = ["vocals", "drums", "bass", "guitar"];
/** Height of the canvas, pixels: the resolution of a bar's probability. */
const STEPS = 32;
/** Opacity of seconds that do not count as detected. */
const FAINT = 0.4;

/**
 * @param {HTMLElement} root holds .presence and .timeline with a canvas
 * @param {string} kind
 * @param {Detected} detected without this kind, both elements are hidden
 * @param {Detection | null} detection null until it has been fetched
 */
export function showInstrument(root, kind, detected, detection) {
  const evidence = detected.stems[kind];
  const place = detection?.stems[kind];
  find(root, ".presence").hidden = find(root, ".timeline").hidden = !evidence;
  if (evidence) showPresence(find(root, ".presence"), kind, evidence);
  if (evidence && place) drawTimeline(find(root, "canvas"), detection.seconds, place, `${kind}: ${places(place)}`);
}

/** @param {HTMLElement} element @param {string} kind @param {Evidence} evidence */
function showPresence(element, kind, { probability, presence }) {
  const certain = RELIABLE.includes(kind) ? "Detected" : "Likely";
  const words = { present: probability < 0.5 ? "Possibly" : certain, uncertain: "Possibly", absent: "Not detected" }[
    presence
  ];
  write(element, `${words}, ${percent(probability)}`);
  element.title = `Probability that the song contains ${kind === "other" ? "other instruments" : kind}`;
  element.dataset.presence = presence;
}

/** @param {Whereabouts} place @returns {string} */
function places({ spans }) {
  return spans.map(([start, stop]) => `${clock(start)} to ${clock(stop)}`).join(", ") || "no definite passages";
}

/** Never 0% or 100%, because nothing is certain. @param {number} probability @returns {string} */
function percent(probability) {
  const rounded = Math.round(100 * probability);
  if (rounded < 1) return "under 1%";
  return rounded > 99 ? "over 99%" : `${rounded}%`;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number} seconds of the song
 * @param {Whereabouts} place
 * @param {string} text for screen readers
 */
function drawTimeline(canvas, seconds, { timeline, spans }, text) {
  canvas.width = timeline.length;
  canvas.height = STEPS;
  canvas.style.setProperty("--length", String(timeline.length / seconds)); // the last second may extend beyond the end
  canvas.role = "img"; // an image needs a name, which it has only now
  canvas.ariaLabel = canvas.title = text;
  const pen = canvas.getContext("2d");
  if (!pen) return;
  pen.fillStyle = getComputedStyle(canvas).color;
  timeline.forEach((value, second) => {
    const counts = spans.some(([start, stop]) => start <= second + 0.5 && second + 0.5 < stop);
    pen.globalAlpha = counts ? 1 : FAINT;
    pen.fillRect(second, STEPS * (1 - value), 1, STEPS * value);
  });
}

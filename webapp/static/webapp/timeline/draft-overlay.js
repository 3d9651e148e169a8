/** Marks the part of a song that is only a draft: paler in the lanes, with a note above them. */

import { find, write } from "../lib/dom.js";
import { clock } from "../lib/format.js";

/**
 * @typedef {import("../lib/api.js").JobAudio} JobAudio
 * @typedef {import("../lib/api.js").JobStem} JobStem
 */

/** Above the waveform, below the loop and the playhead. */
const LAYER = "3";

/**
 * Shows how much of the song is separated, and how much beyond that is drafted.
 * @param {HTMLElement} mixer
 * @param {JobStem[]} stems
 * @param {JobAudio} audio
 */
export function showDraft(mixer, stems, { segments_done, draft_done, segment, samples, rate }) {
  const share = (/** @type {number} */ segments) => `${100 * Math.min(1, (segments * segment) / samples)}%`;
  mixer.style.setProperty("--separated", share(segments_done));
  mixer.style.setProperty("--drafted", share(Math.max(segments_done, draft_done)));
  const note = find(mixer, "#draft");
  note.hidden = draft_done <= segments_done;
  if (note.hidden) return;
  const from = segments_done > 0 ? `Everything after ${clock((segments_done * segment) / rate)}` : "This";
  write(
    note,
    `${from} is a rough draft, shown paler. The finished stems replace it as they are separated. ${missing(stems)}`,
  );
}

/** @param {JobStem[]} stems @returns {string} a sentence about stems that the draft has in `other`, or "" */
function missing(stems) {
  const names = stems
    .filter((stem) => stem.draft_segments_url === null && stem.name !== "residual")
    .map(({ name }) => name);
  return names.length > 0 ? `Until then, other also contains ${names.join(" and ")}.` : "";
}

/**
 * Dims what is not separated yet, and hatches what has no draft either.
 * @param {import("./timeline-pane.js").TimelinePane} pane
 */
export function shadeDraft({ wave }) {
  cover(wave, "--separated", "color-mix(in srgb, var(--surface) 50%, transparent)");
  cover(wave, "--drafted", "repeating-linear-gradient(-45deg, var(--line) 0 1px, transparent 1px 7px)");
}

/**
 * Adds an overlay inside the drawing, so that it zooms and scrolls with it.
 * @param {import("wavesurfer.js").default} wave
 * @param {string} from custom property
 * @param {string} background
 */
function cover(wave, from, background) {
  const element = document.createElement("div");
  const place = { position: "absolute", inset: `0 0 0 var(${from}, 0%)`, zIndex: LAYER, pointerEvents: "none" };
  Object.assign(element.style, place, { background });
  wave.getWrapper().append(element);
}

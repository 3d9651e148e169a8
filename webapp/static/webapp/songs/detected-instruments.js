/** What the detector heard in a song: the list of instruments that have no lane of their own, all of them before the mixer is there. */

import { fetchDetection } from "../lib/api.js";
import { find, write } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { showInstrument } from "./instrument-row.js";

/**
 * @typedef {import("../lib/api.js").Job} Job
 * @typedef {import("../lib/api.js").Detected} Detected
 * @typedef {import("../lib/api.js").Detection} Detection
 */

const RETRY = 5000;
const BASIS = {
  mixture: "Estimated from the mix; not yet checked against the separated stems.",
  confirmed: "Confirmed by the separated stems.",
};

export class DetectedInstruments {
  /** Where each instrument is heard; comes later than whether. @type {Detection | null} */
  detection = null;
  /** @type {Detected["stage"] | null} */
  #fetched = null;
  /** @type {Map<string, HTMLElement>} */
  #rows = new Map();

  /** @param {HTMLElement} root @param {(detected: Detected, detection: Detection) => void} onDetection */
  constructor(root, onDetection) {
    this.root = root;
    this.onDetection = onDetection;
  }

  /** @param {Job} job without anything heard, as when it starts anew, what was heard before stays @param {string[]} lanes names of those in the mixer */
  update(job, lanes) {
    if (!job.detected) return;
    this.root.hidden = false;
    write(
      find(this.root, "#detection-basis"),
      BASIS[job.detected.stage] + (lanes.length ? " Instruments with a lane are shown there." : ""),
    );
    for (const kind of Object.keys(job.detected.stems)) {
      const row = this.#row(kind);
      row.hidden = lanes.includes(kind);
      showInstrument(row, kind, job.detected, this.detection);
    }
    find(this.root, ".scale").hidden = [...this.#rows.values()].every((row) => row.hidden);
    if (job.detection_url) void this.#refresh(job.detected, job.detection_url);
  }

  /** @param {string} kind */
  #row(kind) {
    const known = this.#rows.get(kind);
    if (known) return known;
    const template = /** @type {HTMLTemplateElement} */ (find(document, "#instrument-template"));
    const row = find(/** @type {DocumentFragment} */ (template.content.cloneNode(true)), "li");
    row.dataset.stem = kind;
    write(find(row, ".name"), kind);
    find(this.root, "#instruments").append(row);
    this.#rows.set(kind, row);
    return row;
  }

  /** Timelines change once, when the stems were heard after the mix. @param {Detected} detected @param {string} url */
  async #refresh(detected, url) {
    if (this.#fetched === detected.stage) return;
    this.#fetched = detected.stage;
    for (;;) {
      const detection = await fetchDetection(url).catch(() => null);
      if (this.#fetched !== detected.stage) return; // a later one is on its way
      if (detection) return this.#take(detected, detection);
      await new Promise((resolve) => setTimeout(resolve, RETRY)); // they come when they can
    }
  }

  /** @param {Detected} detected @param {Detection} detection */
  #take(detected, detection) {
    this.detection = detection;
    write(find(this.root, "#detected-end"), clock(detection.seconds));
    for (const [kind, row] of this.#rows) showInstrument(row, kind, detected, detection);
    this.onDetection(detected, detection);
  }
}

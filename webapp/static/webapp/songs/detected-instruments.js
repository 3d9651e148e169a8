/** The list of detected instruments: all of them before the mixer appears, then those without a lane of their own. */

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
  /** Where each instrument plays; arrives later than the probabilities. @type {Detection | null} */
  detection = null;
  /** @type {Detected["stage"] | null} */
  #fetchedStage = null;
  /** @type {Map<string, HTMLElement>} */
  #rows = new Map();

  /** @param {HTMLElement} root @param {(detected: Detected, detection: Detection) => void} onDetection */
  constructor(root, onDetection) {
    this.root = root;
    this.onDetection = onDetection;
  }

  /**
   * @param {Job} job without a detection, as after a restart, the last one stays
   * @param {string[]} lanes names of the mixer's lanes
   */
  update(job, lanes) {
    if (!job.detected) return;
    this.root.hidden = false;
    write(
      find(this.root, "#detection-basis"),
      BASIS[job.detected.stage] + (lanes.length ? " Instruments with a lane are shown there." : ""),
    );
    for (const kind of Object.keys(job.detected.stems)) {
      const row = this.#rowOf(kind);
      row.hidden = lanes.includes(kind);
      showInstrument(row, kind, job.detected, this.detection);
    }
    find(this.root, ".scale").hidden = [...this.#rows.values()].every((row) => row.hidden);
    if (job.detection_url) void this.#refresh(job.detected, job.detection_url);
  }

  /** @param {string} kind */
  #rowOf(kind) {
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

  /**
   * Timelines change once: when the stems have been analysed after the mix.
   * @param {Detected} detected
   * @param {string} url
   */
  async #refresh(detected, url) {
    if (this.#fetchedStage === detected.stage) return;
    this.#fetchedStage = detected.stage;
    for (;;) {
      const detection = await fetchDetection(url).catch(() => null);
      if (this.#fetchedStage !== detected.stage) return; // a newer one is being fetched
      if (detection) return this.#show(detected, detection);
      await new Promise((resolve) => setTimeout(resolve, RETRY)); // nothing depends on them: retry until they arrive
    }
  }

  /** @param {Detected} detected @param {Detection} detection */
  #show(detected, detection) {
    this.detection = detection;
    write(find(this.root, "#detected-end"), clock(detection.seconds));
    for (const [kind, row] of this.#rows) showInstrument(row, kind, detected, detection);
    this.onDetection(detected, detection);
  }
}

/**
 * Overrides the automatic choice of stems: separates further stems, merges stems into `other`, or restores the
 * automatic choice.
 */

import { reselectStems } from "../lib/api.js";
import { find, write } from "../lib/dom.js";
import { capitalised } from "../lib/format.js";
import { isLive } from "./job-status.js";

/**
 * @typedef {import("../lib/api.js").Job} Job
 * @typedef {object} Offer
 * @property {string} text the current situation
 * @property {string} action the button's text
 * @property {string} label the button's accessible name
 * @property {string[]} stems to request
 */

/** Stems that every song has. */
const ALWAYS_SEPARATED = ["vocals", "other"];
const READY_HINT = "Stems that are already separated are reused, so changes to them take only moments.";
const BUSY_HINT = "Rebuilding stems…";

export class StemPicker {
  #shown = "";

  /** @param {HTMLElement} root @param {(job: Job) => void} onJob called with the changed job */
  constructor(root, onJob) {
    this.root = root;
    this.onJob = onJob;
  }

  /** While stems are being rebuilt the buttons stay visible but disabled. @param {Job} job */
  update(job) {
    this.#enable(!isLive(job));
    write(find(this.root, "#stem-picker-hint"), isLive(job) ? BUSY_HINT : READY_HINT);
    if (isLive(job)) return;
    const { separable, mergeable } = job.state === "done" ? offers(job) : { separable: [], mergeable: [] };
    this.root.hidden = separable.length + mergeable.length === 0;
    find(this.root, "#mergeable").hidden = mergeable.length === 0;
    const shown = JSON.stringify([separable, mergeable]);
    if (shown === this.#shown) return; // keeps error messages and the focus
    this.#shown = shown;
    find(this.root, "#separable").replaceChildren(...separable.map((offer) => this.#row(job, offer)));
    find(this.root, "#mergeable ul").replaceChildren(...mergeable.map((offer) => this.#row(job, offer)));
  }

  /** @param {Job} job @param {Offer} offer */
  #row(job, { text, action, label, stems }) {
    const template = /** @type {HTMLTemplateElement} */ (find(document, "#offer-template"));
    const row = find(/** @type {DocumentFragment} */ (template.content.cloneNode(true)), "li");
    write(find(row, "span"), text);
    const button = find(row, "button");
    write(button, action);
    button.ariaLabel = label;
    button.addEventListener("click", () => void this.#reselect(job, stems, find(row, "[data-problem]")));
    return row;
  }

  /** @param {Job} job @param {string[]} stems @param {HTMLElement} problem */
  async #reselect(job, stems, problem) {
    problem.hidden = true;
    this.#enable(false);
    try {
      this.onJob(await reselectStems(job, stems));
      this.root.focus({ preventScroll: true }); // the button will disappear
    } catch (error) {
      write(problem, error instanceof Error ? error.message : String(error));
      problem.hidden = false;
      this.#enable(true);
    }
  }

  /** @param {boolean} enabled */
  #enable(enabled) {
    for (const button of this.root.querySelectorAll("button")) button.disabled = !enabled;
  }
}

/**
 * @param {Job} job
 * @returns {{separable: Offer[], mergeable: Offer[]}} stems to separate, and stems to merge into `other`
 */
function offers({ choices, experimental, stems, merged, stems_asked }) {
  const mergedNames = merged.map(({ name }) => name); // includes silent vocals, which have a lane nevertheless
  const separated = choices.filter((name) => stems.some((stem) => stem.name === name) && !mergedNames.includes(name));
  const unseparated = choices.filter((name) => !separated.includes(name) && !mergedNames.includes(name));
  /** @param {string} name @param {string} where its sound currently is @returns {Offer} */
  const separation = (name, where) => ({
    text: `${capitalised(name)}${experimental.includes(name) ? " (experimental, may turn out empty)" : ""}: ${where}.`,
    action: `Separate ${name}`,
    label: `Separate ${name}`,
    stems: choices.filter((each) => each === name || separated.includes(each)),
  });
  const separable = [
    ...merged
      .filter(({ empty }) => !empty)
      .map(({ name, offered }) =>
        separation(name, `${offered ? "detected after all; currently part" : "part"} of other`),
      ),
    ...unseparated.map((name) => separation(name, "part of other; takes as long as the first separation")),
  ];
  const mergeable = separated
    .filter((name) => !ALWAYS_SEPARATED.includes(name))
    .map((name) => ({
      text: "",
      action: capitalised(name),
      label: `Merge ${name} into other`,
      stems: separated.filter((each) => each !== name),
    }));
  const reset = "Auto";
  if (stems_asked.length) separable.push({ text: "You chose these stems.", action: reset, label: reset, stems: [] });
  return { separable, mergeable };
}

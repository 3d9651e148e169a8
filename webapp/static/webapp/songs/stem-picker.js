/** A person's word against the detector's: separate a stem anyway, put one back into `other`, or have it as the song has it. */

import { reselectStems } from "../lib/api.js";
import { find, write } from "../lib/dom.js";
import { capitalised } from "../lib/format.js";
import { isLive } from "./job-status.js";

/**
 * @typedef {import("../lib/api.js").Job} Job
 * @typedef {object} Offer
 * @property {string} text what is the case
 * @property {string} action what a button can do about it
 * @property {string} label the button's name for those who do not see what it stands beside
 * @property {string[]} stems to ask for
 */

/** Stems that every song gives. */
const ALWAYS = ["vocals", "other"];
const PROMISE = "Stems that are already separated are reused, so changes to them take only moments.";
const GOING_ON = "Rebuilding stems…";

export class StemPicker {
  #shown = "";

  /** @param {HTMLElement} root @param {(job: Job) => void} onJob the server's answer to a button */
  constructor(root, onJob) {
    this.root = root;
    this.onJob = onJob;
  }

  /** While a choice is carried out it stays in sight, without effect. @param {Job} job */
  update(job) {
    this.#enable(!isLive(job));
    write(find(this.root, "#stem-picker-hint"), isLive(job) ? GOING_ON : PROMISE);
    if (isLive(job)) return;
    const { separable, mergeable } = job.state === "done" ? offers(job) : { separable: [], mergeable: [] };
    this.root.hidden = separable.length + mergeable.length === 0;
    find(this.root, "#mergeable").hidden = mergeable.length === 0;
    const shown = JSON.stringify([separable, mergeable]);
    if (shown === this.#shown) return; // keeps what is said beside a button, and the focus
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
    button.addEventListener("click", () => void this.#ask(job, stems, find(row, "[data-problem]")));
    return row;
  }

  /** @param {Job} job @param {string[]} stems @param {HTMLElement} problem */
  async #ask(job, stems, problem) {
    problem.hidden = true;
    this.#enable(false);
    try {
      this.onJob(await reselectStems(job, stems));
      this.root.focus({ preventScroll: true }); // the button will be gone
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

/** @param {Job} job @returns {{separable: Offer[], mergeable: Offer[]}} stems to separate, and stems to merge into `other` */
function offers({ choices, experimental, stems, merged, stems_asked }) {
  const mergedNames = merged.map(({ name }) => name); // silent vocals too, which have a lane all the same
  const given = choices.filter((name) => stems.some((stem) => stem.name === name) && !mergedNames.includes(name));
  const unseparated = choices.filter((name) => !given.includes(name) && !mergedNames.includes(name));
  /** @param {string} name @param {string} where its sound is @returns {Offer} */
  const anyway = (name, where) => ({
    text: `${capitalised(name)}${experimental.includes(name) ? " (experimental, may turn out empty)" : ""}: ${where}.`,
    action: `Separate ${name}`,
    label: `Separate ${name}`,
    stems: choices.filter((each) => each === name || given.includes(each)),
  });
  const separable = [
    ...merged
      .filter(({ empty }) => !empty)
      .map(({ name, offered }) => anyway(name, `${offered ? "detected after all; currently part" : "part"} of other`)),
    ...unseparated.map((name) => anyway(name, "part of other; takes as long as the first separation")),
  ];
  const mergeable = given
    .filter((name) => !ALWAYS.includes(name))
    .map((name) => ({
      text: "",
      action: capitalised(name),
      label: `Merge ${name} into other`,
      stems: given.filter((each) => each !== name),
    }));
  const reset = "Auto";
  if (stems_asked.length) separable.push({ text: "You chose these stems.", action: reset, label: reset, stems: [] });
  return { separable, mergeable };
}

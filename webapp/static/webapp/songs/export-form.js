/** What people take along: the mix exactly as it is heard, all stems, one of them, or a file for DJ software. */

import { toQuery } from "../audio/mix-query.js";
import { fetchExports, startExport } from "../lib/api.js";
import { find, write } from "../lib/dom.js";
import { capitalised, clock } from "../lib/format.js";
import { ExportRow } from "./export-row.js";
import { FormatMenu } from "./format-menu.js";

/**
 * @typedef {import("../lib/api.js").Job} Job
 * @typedef {import("../audio/mix-query.js").MixState} MixState
 */

/** Where a browser keeps the format. */
const FORMAT = "soundscape.format";
/** Stems that a file for DJ software is made of. */
const NI_STEMS = ["drums", "bass", "other", "vocals"];
/** @type {Record<string, string>} */
const HINTS = {
  mix: "The mix as you hear it now, with volume, pan, mute, solo, tempo, pitch and limiter.",
  stems: "Each stem as a separate file, exactly as it was separated. Together they add up to your song.",
  stem: "The stem exactly as it was separated, without your volume and pan settings.",
  ni: "One file with the mix and its stems, for DJ software that supports NI Stems. Guitar and piano are part of other.",
};

export class ExportForm {
  /** @type {Job | null} */
  #job = null;

  /** @param {HTMLElement} root @param {() => MixState | undefined} mixing what is heard now */
  constructor(root, mixing) {
    this.root = root;
    this.mixing = mixing;
    this.what = /** @type {HTMLSelectElement} */ (find(root, "#export-content"));
    this.coding = /** @type {HTMLSelectElement} */ (find(root, "#export-format"));
    this.rate = /** @type {HTMLSelectElement} */ (find(root, "#export-rate"));
    recall(this.coding);
    this.what.addEventListener("change", () => this.showHint());
    this.coding.addEventListener("change", () => remember(this.coding));
    find(root, "form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#take();
    });
    new FormatMenu(find(root, "#formats"), [...this.coding.options], (stem, coding) => {
      this.coding.value = coding;
      remember(this.coding);
      return this.#order("stem", capitalised(stem), new URLSearchParams({ stem })).made;
    });
  }

  /** @param {Job} job */
  update(job) {
    const finished = job.state === "done" || job.zip_url !== null;
    this.root.hidden = !finished || job.stems.length === 0;
    if (finished && !this.#job) void this.#recall(job);
    this.#job = job;
    this.#showStems(job.stems.map(({ name }) => name));
    this.showHint();
  }

  /** What is going to be exported, in words. */
  showHint() {
    const what = this.#what();
    const loop = what === "mix" ? this.mixing()?.loop : null;
    const part = loop
      ? ` Only the loop, ${clock(loop.start)} to ${clock(loop.end)}: turn it off to export the whole song.`
      : "";
    write(find(this.root, "#export-hint"), HINTS[what] + part);
    this.coding.disabled = this.rate.disabled = what === "ni";
  }

  #what() {
    return this.what.value.startsWith("stem:") ? "stem" : this.what.value;
  }

  /** @param {string[]} names */
  #showStems(names) {
    const group = find(this.root, "#export-stems");
    const ni = /** @type {HTMLOptionElement} */ (find(this.root, "#export-ni"));
    ni.hidden = ni.disabled = !NI_STEMS.every((name) => names.includes(name));
    if (group.dataset.names === names.join()) return; // keeps what is chosen
    group.dataset.names = names.join();
    group.replaceChildren(...names.map((name) => new Option(capitalised(name), `stem:${name}`)));
  }

  /** Lists what was ordered on earlier visits and is still there. @param {Job} job */
  async #recall({ exports_url }) {
    const earlier = await fetchExports(exports_url).catch(() => []);
    const kept = earlier.filter(({ state }) => state !== "failed");
    find(this.root, "#exports").append(
      ...kept.map((made) => new ExportRow(made.filename, made, () => this.#toForm()).root),
    );
  }

  #toForm() {
    find(this.root, "button[type=submit]").focus();
  }

  #take() {
    const mix = this.mixing();
    if (!this.#job || !mix) return;
    const what = this.#what();
    const more = new URLSearchParams({ sample_rate: this.rate.value });
    if (what === "stem") more.append("stem", this.what.value.slice("stem:".length));
    if (what === "mix") for (const [key, value] of toQuery(mix)) more.append(key, value);
    this.#order(what, this.what.selectedOptions[0].label, what === "ni" ? new URLSearchParams() : more);
  }

  /** @param {string} what @param {string} name for people @param {URLSearchParams} more of the order */
  #order(what, name, more) {
    const coding = what === "ni" ? "" : this.coding.value;
    const order = new URLSearchParams([...new URLSearchParams(coding), ["what", what], ...more]);
    const label = coding && `, ${this.coding.selectedOptions[0].label}`;
    const url = this.#job?.exports_url ?? "";
    const made = new ExportRow(
      name + label,
      () => startExport(url, order),
      () => this.#toForm(),
    );
    find(this.root, "#exports").prepend(made.root);
    return made;
  }
}

/** The format that was chosen last. @param {HTMLSelectElement} coding */
function recall(coding) {
  try {
    const last = localStorage.getItem(FORMAT);
    if ([...coding.options].some(({ value }) => value === last)) coding.value = last ?? "";
  } catch {
    // Forbidden: the first one it is.
  }
}

/** @param {HTMLSelectElement} coding */
function remember(coding) {
  try {
    localStorage.setItem(FORMAT, coding.value);
  } catch {
    // Forbidden or full: it is remembered until the page is left.
  }
}

/** The export form: the current mix exactly as it sounds, all stems, a single stem, or a file for DJ software. */

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

/** Key in localStorage. */
const STORED_FORMAT = "soundscape.format";
/** Stems that NI Stems consist of. */
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

  /** @param {HTMLElement} root @param {() => MixState | undefined} currentMix undefined until there is a mixer */
  constructor(root, currentMix) {
    this.root = root;
    this.currentMix = currentMix;
    this.what = /** @type {HTMLSelectElement} */ (find(root, "#export-content"));
    this.format = /** @type {HTMLSelectElement} */ (find(root, "#export-format"));
    this.rate = /** @type {HTMLSelectElement} */ (find(root, "#export-rate"));
    restoreFormat(this.format);
    this.what.addEventListener("change", () => this.showHint());
    this.format.addEventListener("change", () => saveFormat(this.format));
    find(root, "form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    new FormatMenu(find(root, "#formats"), [...this.format.options], (stem, format) => {
      this.format.value = format;
      saveFormat(this.format);
      return this.#addExport("stem", capitalised(stem), new URLSearchParams({ stem })).finished;
    });
  }

  /** @param {Job} job */
  update(job) {
    const finished = job.state === "done" || job.zip_url !== null;
    this.root.hidden = !finished || job.stems.length === 0;
    if (finished && !this.#job) void this.#listEarlier(job);
    this.#job = job;
    this.#showStems(job.stems.map(({ name }) => name));
    this.showHint();
  }

  /** Describes what will be exported. */
  showHint() {
    const what = this.#kind();
    const loop = what === "mix" ? this.currentMix()?.loop : null;
    const part = loop
      ? ` Only the loop, ${clock(loop.start)} to ${clock(loop.end)}: turn it off to export the whole song.`
      : "";
    write(find(this.root, "#export-hint"), HINTS[what] + part);
    this.format.disabled = this.rate.disabled = what === "ni";
  }

  #kind() {
    return this.what.value.startsWith("stem:") ? "stem" : this.what.value;
  }

  /** @param {string[]} names */
  #showStems(names) {
    const group = find(this.root, "#export-stems");
    const ni = /** @type {HTMLOptionElement} */ (find(this.root, "#export-ni"));
    ni.hidden = ni.disabled = !NI_STEMS.every((name) => names.includes(name));
    if (group.dataset.names === names.join()) return; // keeps the selection
    group.dataset.names = names.join();
    group.replaceChildren(...names.map((name) => new Option(capitalised(name), `stem:${name}`)));
  }

  /** Lists exports of earlier visits that still exist. @param {Job} job */
  async #listEarlier({ exports_url }) {
    const earlier = await fetchExports(exports_url).catch(() => []);
    const kept = earlier.filter(({ state }) => state !== "failed");
    find(this.root, "#exports").append(
      ...kept.map((row) => new ExportRow(row.filename, row, () => this.#focusForm()).root),
    );
  }

  #focusForm() {
    find(this.root, "button[type=submit]").focus();
  }

  #submit() {
    const mix = this.currentMix();
    if (!this.#job || !mix) return;
    const what = this.#kind();
    const more = new URLSearchParams({ sample_rate: this.rate.value });
    if (what === "stem") more.append("stem", this.what.value.slice("stem:".length));
    if (what === "mix") for (const [key, value] of toQuery(mix)) more.append(key, value);
    this.#addExport(what, this.what.selectedOptions[0].label, what === "ni" ? new URLSearchParams() : more);
  }

  /** @param {string} what @param {string} name for people @param {URLSearchParams} more parameters */
  #addExport(what, name, more) {
    const format = what === "ni" ? "" : this.format.value;
    const request = new URLSearchParams([...new URLSearchParams(format), ["what", what], ...more]);
    const label = format && `, ${this.format.selectedOptions[0].label}`;
    const url = this.#job?.exports_url ?? "";
    const row = new ExportRow(
      name + label,
      () => startExport(url, request),
      () => this.#focusForm(),
    );
    find(this.root, "#exports").prepend(row.root);
    return row;
  }
}

/** Selects the format that was used last. @param {HTMLSelectElement} format */
function restoreFormat(format) {
  try {
    const last = localStorage.getItem(STORED_FORMAT);
    if ([...format.options].some(({ value }) => value === last)) format.value = last ?? "";
  } catch {
    // Storage is blocked: keep the default.
  }
}

/** @param {HTMLSelectElement} format */
function saveFormat(format) {
  try {
    localStorage.setItem(STORED_FORMAT, format.value);
  } catch {
    // Storage is blocked or full: the choice lasts until the page is left.
  }
}

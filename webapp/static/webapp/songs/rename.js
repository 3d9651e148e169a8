/** Edits a song's title in place: Enter saves, Esc cancels. */

import { renameJob } from "../lib/api.js";
import { find, write } from "../lib/dom.js";

/** @typedef {import("../lib/api.js").Job} Job */

export class Rename {
  #saving = false;

  /**
   * @param {HTMLElement} root holds the button [data-rename], [data-heading], which the form [data-rename-form]
   *   replaces, and [data-problem]
   * @param {() => Job} job returns the current job
   * @param {(job: Job) => void} onJob called with the renamed job
   */
  constructor(root, job, onJob) {
    this.heading = find(root, "[data-heading]");
    this.button = find(root, "[data-rename]");
    this.form = /** @type {HTMLFormElement} */ (find(root, "[data-rename-form]"));
    this.input = /** @type {HTMLInputElement} */ (find(this.form, "input"));
    this.problem = find(root, "[data-problem]");
    this.job = job;
    this.onJob = onJob;
    this.button.addEventListener("click", () => this.#open());
    find(this.form, "[data-cancel]").addEventListener("click", () => this.#close());
    this.form.addEventListener("keydown", (event) => {
      if (event.code === "Escape") this.#close();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#save();
    });
  }

  #open() {
    this.input.value = this.job().title;
    this.#showForm(true);
    this.input.select();
  }

  #close() {
    this.#showForm(false);
    this.button.focus();
  }

  /** @param {boolean} editing */
  #showForm(editing) {
    this.heading.hidden = editing;
    this.form.hidden = !editing;
    this.problem.hidden = true;
  }

  async #save() {
    if (this.#saving) return;
    this.#saving = true;
    try {
      const job = await renameJob(this.job(), this.input.value);
      this.onJob(job);
      this.#close();
    } catch (error) {
      write(this.problem, /** @type {Error} */ (error).message);
      this.problem.hidden = false;
      this.input.focus();
    } finally {
      this.#saving = false;
    }
  }
}

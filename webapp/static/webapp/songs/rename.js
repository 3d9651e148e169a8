/** A song's title, edited in its place: Enter saves, Esc leaves it as it was. */

import { renameJob } from "../lib/api.js";
import { find, write } from "../lib/dom.js";

/** @typedef {import("../lib/api.js").Job} Job */

export class Rename {
  #saving = false;

  /**
   * @param {HTMLElement} root holds the button [data-rename], [data-heading] to give way to the form [data-rename-form], and [data-problem]
   * @param {() => Job} job as it is now
   * @param {(job: Job) => void} onJob the server's answer
   */
  constructor(root, job, onJob) {
    this.heading = find(root, "[data-heading]");
    this.button = find(root, "[data-rename]");
    this.form = /** @type {HTMLFormElement} */ (find(root, "[data-rename-form]"));
    this.input = /** @type {HTMLInputElement} */ (find(this.form, "input"));
    this.problem = find(root, "[data-problem]");
    this.job = job;
    this.onJob = onJob;
    this.button.addEventListener("click", () => this.#begin());
    find(this.form, "[data-cancel]").addEventListener("click", () => this.#leave());
    this.form.addEventListener("keydown", (event) => {
      if (event.code === "Escape") this.#leave();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#save();
    });
  }

  #begin() {
    this.input.value = this.job().title;
    this.#edit(true);
    this.input.select();
  }

  #leave() {
    this.#edit(false);
    this.button.focus();
  }

  /** @param {boolean} editing */
  #edit(editing) {
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
      this.#leave();
    } catch (error) {
      write(this.problem, /** @type {Error} */ (error).message);
      this.problem.hidden = false;
      this.input.focus();
    } finally {
      this.#saving = false;
    }
  }
}

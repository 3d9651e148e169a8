/** What every page shows of a job: its status, its progress and the actions that are possible. */

import { cancelJob, deleteJob, retryJob } from "../lib/api.js";
import { find, showFraction, write } from "../lib/dom.js";
import { describe } from "./job-status.js";
import { popDeletion, pushDeletion } from "./last-deleted.js";

/** @typedef {import("../lib/api.js").Job} Job */

/** Buttons for a job's actions. A failure is shown beside them. */
export class JobActions {
  /**
   * @param {HTMLElement} root holds [data-problem] and some of the [data-action] buttons
   * @param {Job} job
   * @param {object} listener
   * @param {(job: Job) => void} listener.onJob called with the changed job
   * @param {(job: Job) => void} listener.onDeleted
   */
  constructor(root, job, { onJob, onDeleted }) {
    this.root = root;
    this.job = job;
    for (const button of this.#buttons()) {
      const { action } = button.dataset;
      button.addEventListener("click", () => {
        if (action === "cancel") void this.#try(async () => onJob(await cancelJob(this.job)));
        if (action === "retry") void this.#try(async () => onJob(await retryJob(this.job)));
        if (action === "delete") void this.#delete(onDeleted);
      });
    }
  }

  /** @param {Job} job */
  update(job) {
    this.job = job;
    for (const button of this.#buttons()) button.hidden = !job.actions.includes(button.dataset.action ?? "");
  }

  /** @returns {NodeListOf<HTMLElement>} */
  #buttons() {
    return this.root.querySelectorAll("button[data-action]");
  }

  /** Deletes without a confirmation, because it can be undone. @param {(job: Job) => void} onDeleted */
  async #delete(onDeleted) {
    const { job } = this;
    await this.#try(async () => {
      pushDeletion(job);
      await deleteJob(job).catch((error) => {
        popDeletion();
        throw error;
      });
      onDeleted(job);
    });
  }

  /** Runs an action and shows its failure. @param {() => Promise<void>} action */
  async #try(action) {
    const problem = find(this.root, "[data-problem]");
    problem.hidden = true;
    try {
      await action();
    } catch (error) {
      write(problem, error instanceof Error ? error.message : String(error));
      problem.hidden = false;
    }
  }
}

/** Actions with a status line and a progress bar. */
export class JobCard extends JobActions {
  /**
   * @param {HTMLElement} root also holds [data-label], [data-detail] and progress
   * @param {Job} job
   * @param {{onJob: (job: Job) => void, onDeleted: (job: Job) => void}} listener
   */
  constructor(root, job, listener) {
    super(root, job, listener);
    this.update(job);
  }

  /** @param {Job} job */
  update(job) {
    super.update(job);
    const { label, detail, fraction } = describe(job);
    this.root.dataset.state = job.state;
    write(find(this.root, "[data-label]"), label);
    write(find(this.root, "[data-detail]"), detail);
    showFraction(find(this.root, "progress"), fraction);
  }
}

/** What both pages show of a job: words, progress bar and the buttons that fit its state. */

import { cancelJob, deleteJob, retryJob } from "../lib/api.js";
import { find, showFraction, write } from "../lib/dom.js";
import { describe } from "./job-status.js";
import { noteDeletion, takeDeletion } from "./last-deleted.js";

/** @typedef {import("../lib/api.js").Job} Job */

/** The buttons for what can be done with a job now. A failure is shown beside them. */
export class JobActions {
  /**
   * @param {HTMLElement} root holds [data-problem] and some of the [data-action] buttons
   * @param {Job} job
   * @param {object} listener
   * @param {(job: Job) => void} listener.onJob the server's answer to a button
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

  /** At once, without a question: there is undo. @param {(job: Job) => void} onDeleted */
  async #delete(onDeleted) {
    const { job } = this;
    await this.#try(async () => {
      noteDeletion(job);
      await deleteJob(job).catch((error) => {
        takeDeletion();
        throw error;
      });
      onDeleted(job);
    });
  }

  /** Runs what a button asks for; a failure is told beside it. @param {() => Promise<void>} action */
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

/** The same with words and a progress bar. */
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

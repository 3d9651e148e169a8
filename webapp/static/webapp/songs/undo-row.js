/** The row that stands where a deleted song was, and brings it back. */

import { restoreJob } from "../lib/api.js";
import { find, write } from "../lib/dom.js";

/** @typedef {import("../lib/api.js").Job} Job */

/** Milliseconds for which undo is offered. The server would wait longer. */
const OFFERED = 60_000;

/**
 * Fills the row. It stays as long as somebody is at it.
 * @param {HTMLElement} row holds [data-message], [data-undo] and [data-problem]
 * @param {Job} job
 * @param {(job: Job) => void} onRestored
 * @param {() => void} onOver nobody wanted it back
 */
export function offerUndo(row, job, onRestored, onOver) {
  const button = find(row, "[data-undo]");
  const problem = find(row, "[data-problem]");
  write(find(row, "[data-message]"), `Deleted “${job.title}”.`);
  button.setAttribute("aria-label", `Undo: restore “${job.title}”`);
  button.addEventListener("click", () => {
    restoreJob(job).then(onRestored, (error) => {
      write(problem, error.message);
      problem.hidden = false;
    });
  });
  const timer = setInterval(() => {
    if (row.matches(":focus-within, :hover")) return;
    clearInterval(timer);
    if (row.isConnected) onOver();
  }, OFFERED);
}

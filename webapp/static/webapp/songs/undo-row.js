/** The row that replaces a deleted song and can restore it. */

import { restoreJob } from "../lib/api.js";
import { find, write } from "../lib/dom.js";

/** @typedef {import("../lib/api.js").Job} Job */

/** How long undo is offered, milliseconds. The server would allow longer. */
const OFFER_DURATION = 60_000;

/**
 * Fills the row. It stays for as long as it has the focus or the pointer.
 * @param {HTMLElement} row holds [data-message], [data-undo] and [data-problem]
 * @param {Job} job
 * @param {(job: Job) => void} onRestored
 * @param {() => void} onExpired called when undo was not used in time
 */
export function offerUndo(row, job, onRestored, onExpired) {
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
    if (row.isConnected) onExpired();
  }, OFFER_DURATION);
}

/** Describes a job's state in words and as a fraction for a progress bar, the same on every page. */

/** @typedef {import("../lib/api.js").Job} Job */

/** @type {Record<Job["stage"], string>} */
const STAGES = {
  "": "Starting",
  decode: "Reading the song",
  listen: "Detecting instruments",
  draft: "Creating a draft",
  separate: "Separating",
  confirm: "Checking the detected instruments",
  encode: "Writing the stems",
};

/**
 * @typedef {object} Status
 * @property {string} label a few words
 * @property {string} detail may be ""
 * @property {number | null | undefined} fraction 0 to 1; null: in progress, extent unknown; undefined: nothing to
 *   measure
 */

/** @param {Job} job @returns {boolean} whether it will change by itself */
export const isLive = ({ state }) => state === "queued" || state === "running";

/** @param {Job} job @returns {Status} */
export function describe(job) {
  switch (job.state) {
    case "queued":
      return { label: "Waiting", detail: job.notice, fraction: undefined };
    case "running":
      return running(job);
    case "done":
      return { label: "Ready", detail: job.notice, fraction: undefined };
    case "cancelled":
      return { label: "Cancelled", detail: job.notice, fraction: undefined };
    case "failed":
      return { label: "Failed", detail: job.error, fraction: undefined };
  }
}

/** @param {Job} job @returns {Status} */
function running(job) {
  const left = job.notice || timeLeft(job.seconds_left);
  const label = STAGES[job.stage];
  const measured = job.stage === "separate" && job.blocks_total > 0;
  const fraction = measured ? job.blocks_done / job.blocks_total : job.stage_progress;
  return { label: fraction === null ? label : `${label}: ${percent(fraction)}`, detail: left, fraction };
}

/** Rounds down, so that 100% means complete. @param {number} fraction @returns {string} */
export const percent = (fraction) => `${Math.floor(100 * fraction)}%`;

/** @param {number | null} seconds */
function timeLeft(seconds) {
  if (seconds === null) return "";
  if (seconds < 10) return "a few seconds left";
  if (seconds < 90) return `about ${Math.round(seconds / 5) * 5} seconds left`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} minutes left`;
  return `about ${(seconds / 3600).toFixed(1)} hours left`;
}

/** Remembers which song was deleted last, for the next page of the same window to offer it back. */

/** @typedef {import("../lib/api.js").Job} Job */

const KEY = "soundscape.deleted";

/** Before the server is asked: its news of the deletion may take the page away at once. @param {Job} job */
export function noteDeletion(job) {
  sessionStorage.setItem(KEY, JSON.stringify(job));
}

/** The last deletion that was noted, once. @returns {Job | null} */
export function takeDeletion() {
  const noted = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  return JSON.parse(noted ?? "null");
}

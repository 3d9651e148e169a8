/** Remembers the last deleted song, so that the next page in the same tab can offer to restore it. */

/** @typedef {import("../lib/api.js").Job} Job */

const KEY = "soundscape.deleted";

/** Call before the request: the deletion's event may navigate away at once. @param {Job} job */
export function pushDeletion(job) {
  sessionStorage.setItem(KEY, JSON.stringify(job));
}

/** Returns the last deleted job and forgets it. @returns {Job | null} */
export function popDeletion() {
  const noted = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  return JSON.parse(noted ?? "null");
}

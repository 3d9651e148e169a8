/** Helpers for the tests of the scripts that need no browser. */

import assert from "node:assert/strict";

/** @param {number} found @param {number} expected @param {number} [tolerance] */
export function close(found, expected, tolerance = 1e-9) {
  assert.ok(Math.abs(found - expected) <= tolerance, `${found} is not within ${tolerance} of ${expected}`);
}

/** A lane as it is before anybody has touched it. @param {string} name @param {object} [change] */
export function lane(name, change = {}) {
  return { name, db: 0, pan: 0, mute: false, solo: false, ...change };
}

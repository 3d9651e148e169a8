/**
 * The gain law: faders, mute and solo as plain numbers.
 * Pure functions, so that an export on the server can be tested against the same values.
 */

/** Top of a fader's travel, dB. The bottom is silence (-Infinity dB). */
export const MAX_DB = 6;

/**
 * @typedef {object} Lane
 * @property {string} name
 * @property {number} db fader, -Infinity to MAX_DB
 * @property {boolean} mute
 * @property {boolean} solo
 */

/** @param {number} db @returns {number} amplitude; -Infinity dB is exactly 0 */
export const dbToGain = (db) => 10 ** (db / 20);

/** @param {number} gain @returns {number} dB; 0 is -Infinity dB */
export const gainToDb = (gain) => 20 * Math.log10(gain);

/**
 * A fader's travel is cubic in amplitude: fine steps where people mix, silence at the bottom.
 * @param {number} travel 0 to 1 @returns {number} dB
 */
export const travelToDb = (travel) => MAX_DB + gainToDb(travel ** 3);

/** @param {number} db @returns {number} travel, 0 to 1 */
export const dbToTravel = (db) => Math.cbrt(dbToGain(db - MAX_DB));

/**
 * What each lane is heard with. Solo adds up; mute beats solo.
 * @param {readonly Lane[]} lanes
 * @returns {number[]} amplitude per lane
 */
export function laneGains(lanes) {
  const soloing = lanes.some((lane) => lane.solo);
  return lanes.map((lane) => (lane.mute || (soloing && !lane.solo) ? 0 : dbToGain(lane.db)));
}

/**
 * The mix law: faders, pan, mute and solo as plain numbers.
 * The server's exports use the same law (pipeline/exports/mix.py); both are tested against tests/vectors/mix.json.
 *
 * - A fader is a gain in dB, from -Infinity (silence) to MAX_DB. Solos add up; mute overrides solo.
 * - Pan follows the Web Audio StereoPannerNode: the side panned towards keeps its own signal and receives the other
 * side's
 *   with equal power, which the other side loses. With x = pan + 1 and pan <= 0: left + cos(x pi/2) right, sin(x pi/2)
 * right;
 *   with x = pan and pan > 0: cos(x pi/2) left, right + sin(x pi/2) left. At 0 nothing changes.
 * - The master gain comes last, followed by the limiter (nodes/limiter.js) if it is on.
 */

/** Top of a fader's travel, dB. The bottom is silence (-Infinity dB). */
export const MAX_DB = 6;
/** Range of the tempo; 1 is as recorded. */
export const TEMPO = Object.freeze({ min: 0.5, max: 2 });
/** Range of the pitch, semitones. */
export const PITCH = Object.freeze({ min: -12, max: 12 });

/**
 * @typedef {object} Lane
 * @property {string} name
 * @property {number} db fader, -Infinity to MAX_DB
 * @property {number} pan -1 (left) to 1 (right)
 * @property {boolean} mute
 * @property {boolean} solo
 */

/** @param {number} db @returns {number} amplitude; -Infinity dB is exactly 0 */
export const dbToGain = (db) => 10 ** (db / 20);

/** @param {number} gain @returns {number} dB; 0 is -Infinity dB */
export const gainToDb = (gain) => 20 * Math.log10(gain);

/**
 * A fader's travel is cubic in amplitude: fine steps in the usual range, silence at the bottom.
 * @param {number} travel 0 to 1 @returns {number} dB
 */
export const travelToDb = (travel) => MAX_DB + gainToDb(travel ** 3);

/** @param {number} db @returns {number} travel, 0 to 1 */
export const dbToTravel = (db) => Math.cbrt(dbToGain(db - MAX_DB));

/**
 * The gain of each lane. Solos add up; mute overrides solo.
 * @param {readonly Lane[]} lanes
 * @returns {number[]} amplitude per lane
 */
export function laneGains(lanes) {
  const soloing = lanes.some((lane) => lane.solo);
  return lanes.map((lane) => (lane.mute || (soloing && !lane.solo) ? 0 : dbToGain(lane.db)));
}

/**
 * The gain that makes the original as loud as the mix, assuming uncorrelated stems: 1 while all faders are at 0 dB.
 * @param {readonly Lane[]} lanes
 * @param {Readonly<Record<string, number>>} energies of each lane's stem, in any unit; equal if none is known
 * @returns {number} amplitude
 */
export function matchedGain(lanes, energies) {
  const gains = laneGains(lanes);
  const known = lanes.map(({ name }) => energies[name] ?? 0);
  const weights = known.some((energy) => energy > 0) ? known : lanes.map(() => 1);
  const whole = weights.reduce((sum, energy) => sum + energy, 0);
  const mixed = weights.reduce((sum, energy, index) => sum + gains[index] ** 2 * energy, 0);
  return whole > 0 ? Math.sqrt(mixed / whole) : 1;
}

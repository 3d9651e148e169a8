/** How parameters move: always within RAMP, so that nothing clicks and everything is heard at once. */

/** Seconds: too short to notice, too long to click. */
export const RAMP = 0.008;

/**
 * Moves a parameter without a click: an exponential that is within 2 % of its goal after RAMP.
 * @param {AudioParam} param @param {number} value @param {number} time
 */
export function approach(param, value, time) {
  param.cancelScheduledValues(time);
  param.setTargetAtTime(value, time, RAMP / 4);
}

/** @param {AudioParam} param @param {number} value at once, for a graph in which nothing sounds @param {number} time */
export function jump(param, value, time) {
  param.cancelScheduledValues(time);
  param.setValueAtTime(value, time);
}

/** Holds what a parameter is now and brings it to silence in a straight line. @param {AudioParam} param @param {number} now */
export function fadeOut(param, now) {
  const level = param.value;
  param.cancelScheduledValues(now);
  param.setValueAtTime(level, now);
  param.linearRampToValueAtTime(0, now + RAMP);
}

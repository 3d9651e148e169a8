/** Moves parameters, always within RAMP, so that nothing clicks and every change is immediate. */

/** Duration, seconds: too short to notice, too long to click. */
export const RAMP = 0.008;

/**
 * Moves a parameter without a click: an exponential that is within 2% of its target after RAMP.
 * @param {AudioParam} param @param {number} value @param {number} time
 */
export function approach(param, value, time) {
  param.cancelScheduledValues(time);
  param.setTargetAtTime(value, time, RAMP / 4);
}

/**
 * @param {AudioParam} param
 * @param {number} value takes effect at once, for a graph that is silent
 * @param {number} time
 */
export function jump(param, value, time) {
  param.cancelScheduledValues(time);
  param.setValueAtTime(value, time);
}

/** Ramps a parameter linearly from its current value to 0. @param {AudioParam} param @param {number} now */
export function fadeOut(param, now) {
  const level = param.value;
  param.cancelScheduledValues(now);
  param.setValueAtTime(level, now);
  param.linearRampToValueAtTime(0, now + RAMP);
}

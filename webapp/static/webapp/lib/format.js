/** Formats numbers and names for people. */

/** @param {number} seconds @returns {string} 3:07, or 1:02:45 */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = `${hours ? String(minutes).padStart(2, "0") : minutes}:${String(rest).padStart(2, "0")}`;
  return hours ? `${hours}:${tail}` : tail;
}

/** @param {string} name @returns {string} with a capital first letter */
export const capitalised = (name) => name.charAt(0).toUpperCase() + name.slice(1);

/** @param {number} db @returns {string} */
export function decibels(db) {
  return db === -Infinity ? "−∞ dB" : `${db.toFixed(1).replace("-", "−")} dB`;
}

/** @param {number} bytes @returns {string} */
export function size(bytes) {
  return bytes < 1e6
    ? `${Math.max(1, Math.round(bytes / 1e3))} kB`
    : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** @param {number} seconds @returns {string} such as 1.5 hours */
export function longest(seconds) {
  const [amount, unit] =
    seconds < 3600 ? [Math.round(seconds / 60), "minute"] : [Number((seconds / 3600).toFixed(1)), "hour"];
  return `${amount} ${unit}${amount === 1 ? "" : "s"}`;
}

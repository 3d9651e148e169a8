/** Keyboard shortcuts of the mixer, by physical key (event.code), so that they are the same on every layout. */

/**
 * @typedef {{name: "toggle" | "stop" | "start" | "original" | "loop" | "in" | "out" | "fit" | "help"}
 *   | {name: "seek", seconds: number} | {name: "zoom", steps: number}
 *   | LaneCommand} Command
 * @typedef {{name: "mute", lane: number | "focused"} | {name: "solo", lane: number | "focused", only: boolean}}
 *   LaneCommand
 */

const SEEK_SECONDS = 5;

/** @type {Record<string, Command>} */
const KEYS = {
  Space: { name: "toggle" },
  Escape: { name: "stop" },
  Home: { name: "start" },
  ArrowLeft: { name: "seek", seconds: -SEEK_SECONDS },
  BracketLeft: { name: "seek", seconds: -SEEK_SECONDS },
  ArrowRight: { name: "seek", seconds: SEEK_SECONDS },
  BracketRight: { name: "seek", seconds: SEEK_SECONDS },
  KeyA: { name: "original" },
  KeyL: { name: "loop" },
  KeyI: { name: "in" },
  KeyO: { name: "out" },
  Digit0: { name: "fit" },
  Numpad0: { name: "fit" },
};

/** Symbols are located differently on each layout, so they go by event.key. @type {Record<string, Command>} */
const SIGNS = {
  "+": { name: "zoom", steps: 1 },
  "=": { name: "zoom", steps: 1 }, // + without Shift on many keyboards
  "-": { name: "zoom", steps: -1 },
  "?": { name: "help" },
};

/** Keys that move a focused slider. */
const SLIDER_KEYS = ["ArrowLeft", "ArrowRight", "Home"];

/** @param {KeyboardEvent} event @returns {Command | null} */
export function commandFor(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || usesKey(event.target, event.code)) return null;
  const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code);
  if (digit) return laneCommand(Number(digit[1]) - 1, event.shiftKey);
  if (event.key in SIGNS) return SIGNS[event.key];
  if (event.code === "KeyM") return { name: "mute", lane: "focused" };
  if (event.code === "KeyS") return { name: "solo", lane: "focused", only: event.shiftKey };
  return KEYS[event.code] ?? null;
}

/** @param {number} lane @param {boolean} shift @returns {Command} */
function laneCommand(lane, shift) {
  return shift ? { name: "solo", lane, only: false } : { name: "mute", lane };
}

/** Whether the focused element handles this key itself. @param {EventTarget | null} target @param {string} code */
function usesKey(target, code) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.id === "position") return false; // the seek shortcuts move it
  if (target.matches("input[type='range'], [role='scrollbar']")) return SLIDER_KEYS.includes(code);
  if (target.isContentEditable || target.matches("input, textarea, select, dialog *, dialog")) return true;
  return code === "Space" && target.matches("button, a, summary");
}

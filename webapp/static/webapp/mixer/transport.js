/** Play button, position, and the master bus with its limiter. */

import { find, write } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { showFader, wireFader } from "./fader.js";
import { MeterBar, ReductionMeter } from "./meter-bar.js";

/** @typedef {import("../audio/engine.js").Engine} Engine */

/** Text for states that are not obvious. */
const STATE_TEXT = { paused: "", playing: "", ended: "", buffering: "Loading…", waiting: "Waiting for separation…" };
/** States in which it plays, or will by itself. */
const PLAYING_STATES = ["playing", "buffering", "waiting"];
/** Text for what plays in place of stems. */
const SUBSTITUTE_TEXT = {
  stems: "",
  draft: "Not separated yet: playing a draft.",
  original: "Not separated yet: playing the original.",
};

export class Transport {
  /** @param {HTMLElement} root the mixer @param {Engine} engine @param {AbortSignal} signal removes the listeners */
  constructor(root, engine, signal) {
    this.root = root;
    this.engine = engine;
    this.position = /** @type {HTMLInputElement} */ (find(root, "#position"));
    this.limiter = /** @type {HTMLButtonElement} */ (find(root, "#limiter"));
    this.meter = new MeterBar(find(root, ".master"));
    this.reduction = new ReductionMeter(find(root, "#reduction"));
    this.position.max = String(engine.duration);
    write(find(root, "#length"), clock(engine.duration));
    this.#wire(signal);
  }

  toggle() {
    if (isGoing(this.engine)) this.engine.pause();
    else void this.engine.play();
  }

  showState() {
    const { state, original, sounding } = this.engine;
    this.root.dataset.playback = state;
    find(this.root, "#play").ariaLabel = isGoing(this.engine) ? "Pause" : "Play";
    const instead = state === "playing" && !original ? SUBSTITUTE_TEXT[sounding] : "";
    write(find(this.root, "#playback"), instead || STATE_TEXT[state]);
    this.showPosition();
  }

  showPosition() {
    const { position, duration } = this.engine;
    write(find(this.root, "#time"), clock(position));
    if (!this.position.matches(":active")) this.position.value = String(position);
    this.position.style.setProperty("--travel", `${(100 * position) / duration}%`);
    const text = `${clock(position)} of ${clock(duration)}`;
    if (this.position.ariaValueText !== text) this.position.ariaValueText = text;
  }

  showMix() {
    const { masterDb, limiter, canProcess } = this.engine;
    showFader(find(this.root, "#master"), masterDb);
    this.limiter.ariaPressed = String(limiter && canProcess);
    this.limiter.disabled = !canProcess;
    find(this.root, "#reduction").classList.toggle("off", !limiter || !canProcess);
  }

  /**
   * @param {import("../audio/nodes/level-meter.js").Level} master
   * @param {number} reduction dB
   * @param {number} now milliseconds
   */
  showLevels(master, reduction, now) {
    this.meter.show(master, now);
    this.reduction.show(reduction, now);
  }

  clear() {
    this.meter.clear();
    this.reduction.clear();
  }

  /** @param {AbortSignal} signal */
  #wire(signal) {
    const { root, engine, position } = this;
    find(root, "#play").addEventListener("click", () => this.toggle(), { signal });
    find(root, "#start").addEventListener("click", () => engine.seek(0), { signal });
    position.addEventListener("change", () => engine.seek(Number(position.value)), { signal });
    // Sliders do not jump to a touch (see touch.js); this one seeks there.
    position.addEventListener(
      "tap",
      (event) => engine.seek(engine.duration * /** @type {CustomEvent<number>} */ (event).detail),
      { signal },
    );
    wireFader(find(root, "#master"), (db) => engine.setMaster(db), signal);
    this.limiter.addEventListener("click", () => engine.setLimiter(!engine.limiter), { signal });
    engine.addEventListener(
      "problem",
      (event) => {
        find(root, "#problem").hidden = /** @type {CustomEvent<Error | null>} */ (event).detail === null;
      },
      { signal },
    );
  }
}

/** @param {Engine} engine @returns {boolean} whether it plays, or will by itself */
export const isGoing = ({ state }) => PLAYING_STATES.includes(state);

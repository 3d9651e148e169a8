/**
 * Touch on a page that scrolls: only a clearly sideways swipe moves a control; any other swipe scrolls, and a mere
 * touch does nothing. A slider moves by the same distance as the finger, instead of jumping to it as browsers do. This
 * applies to all controls of a page; other draggable elements receive pointermove only once a swipe is sideways.
 */

/** A swipe has a direction after this many pixels. */
const DIRECTION_THRESHOLD = 10;
/** A sideways swipe goes at least this many times farther across than up or down. */
const SIDEWAYS_RATIO = 2;

class Swipe {
  /** @type {boolean | null} */
  #sideways = null;

  /** @param {number} x @param {number} y start, pixels */
  constructor(x, y) {
    this.x = x;
    this.y = y;
  }

  /**
   * @param {number} x
   * @param {number} y current position
   * @returns {boolean} whether the swipe is sideways; final once decided
   */
  isSideways(x, y) {
    if (this.#sideways !== null) return this.#sideways;
    const [across, down] = [Math.abs(x - this.x), Math.abs(y - this.y)];
    if (Math.max(across, down) >= DIRECTION_THRESHOLD) this.#sideways = across > SIDEWAYS_RATIO * down;
    return this.#sideways === true;
  }

  /** Whether the finger has not moved far enough to be more than a tap. */
  get isTap() {
    return this.#sideways === null;
  }
}

/** @type {Map<number, Swipe>} by pointer */
const swipes = new Map();
/** Whether the last pointer was a finger. */
let touched = false;

window.addEventListener(
  "pointerdown",
  ({ pointerType, pointerId, clientX, clientY }) => {
    touched = pointerType === "touch";
    if (touched) swipes.set(pointerId, new Swipe(clientX, clientY));
  },
  { capture: true },
);

// After a tap some browsers emulate a mouse, which would move the slider.
window.addEventListener(
  "mousedown",
  (event) => {
    if (touched && isSlider(event.target)) event.preventDefault();
  },
  { capture: true },
);

window.addEventListener(
  "pointermove",
  (event) => {
    const swipe = swipes.get(event.pointerId);
    if (swipe && !swipe.isSideways(event.clientX, event.clientY)) event.stopImmediatePropagation();
  },
  { capture: true },
);

for (const type of /** @type {const} */ (["pointerup", "pointercancel"])) {
  window.addEventListener(type, ({ pointerId }) => swipes.delete(pointerId), { capture: true });
}

/** A slider that is held by a finger. */
class Grip {
  /** Position from which the swipe moves the slider. @type {number | null} */
  #from = null;

  /** @param {HTMLInputElement} slider @param {Touch} finger */
  constructor(slider, { clientX, clientY }) {
    this.slider = slider;
    this.start = slider.valueAsNumber;
    /** The slider's value, which the browser's own touch handling must not change. */
    this.value = slider.value;
    this.swipe = new Swipe(clientX, clientY);
  }

  /** @param {Touch} finger */
  move({ clientX, clientY }) {
    if (!this.swipe.isSideways(clientX, clientY)) return;
    this.#from ??= this.swipe.x + DIRECTION_THRESHOLD * Math.sign(clientX - this.swipe.x);
    const { min, max, clientWidth } = this.slider;
    this.#set(this.start + ((clientX - this.#from) / clientWidth) * (Number(max || 100) - Number(min)));
  }

  /** Dispatches "tap" with its position as a fraction of the slider's length. */
  end() {
    this.restore();
    const { left, width } = this.slider.getBoundingClientRect();
    if (this.swipe.isTap) this.slider.dispatchEvent(new CustomEvent("tap", { detail: (this.swipe.x - left) / width }));
    if (this.#from !== null) this.slider.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** The touch turned out to be a scroll. */
  cancel() {
    if (this.#from !== null) this.#set(this.start);
  }

  restore() {
    this.slider.value = this.value;
  }

  /** @param {number} value */
  #set(value) {
    this.slider.value = String(value);
    if (this.slider.value === this.value) return;
    this.slider.dispatchEvent(new Event("input", { bubbles: true }));
    this.value = this.slider.value;
  }
}

/** @type {Grip | null} */
let grip = null;

window.addEventListener(
  "touchstart",
  ({ touches, target }) => {
    grip?.cancel();
    grip = touches.length === 1 && isSlider(target) ? new Grip(target, touches[0]) : null;
  },
  { capture: true, passive: true },
);

window.addEventListener("touchmove", ({ touches }) => grip?.move(touches[0]), { capture: true, passive: true });

for (const [type, release] of /** @type {const} */ ([
  ["touchend", "end"],
  ["touchcancel", "cancel"],
])) {
  window.addEventListener(
    type,
    () => {
      const released = grip;
      released?.[release]();
      setTimeout(() => {
        // after the browser's own events for this touch
        if (grip === released) grip = null;
      });
    },
    { capture: true },
  );
}

// Suppresses the browser's own reaction to a touch on a slider.
for (const type of ["input", "change"]) {
  window.addEventListener(
    type,
    (event) => {
      if (!grip || event.target !== grip.slider || !event.isTrusted) return;
      event.stopImmediatePropagation();
      grip.restore();
    },
    { capture: true },
  );
}

/** @param {EventTarget | null} target @returns {target is HTMLInputElement} */
function isSlider(target) {
  return target instanceof HTMLInputElement && target.type === "range" && !target.disabled;
}

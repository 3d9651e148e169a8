/**
 * Fingers on a page that scrolls: a control is moved only by a swipe that goes clearly sideways; any other scrolls, and a touch
 * alone does nothing. A slider moves by as much as the finger, from where it was, not to where the finger is as browsers have it.
 * Once for all controls of a page; what else is dragged gets no move of a finger before it is a sideways one.
 */

/** A swipe's direction shows after so many pixels. */
const CLEAR = 10;
/** Sideways is more than this much farther across than up or down. */
const STEEPEST = 2;

class Swipe {
  /** @type {boolean | null} */
  #sideways = null;

  /** @param {number} x @param {number} y where it begins, pixels */
  constructor(x, y) {
    this.x = x;
    this.y = y;
  }

  /** @param {number} x @param {number} y where it is now @returns {boolean} whether it has turned out to be sideways; that stays */
  isSideways(x, y) {
    if (this.#sideways !== null) return this.#sideways;
    const [across, down] = [Math.abs(x - this.x), Math.abs(y - this.y)];
    if (Math.max(across, down) >= CLEAR) this.#sideways = across > STEEPEST * down;
    return this.#sideways === true;
  }

  /** Whether it has gone nowhere: it is a tap so far. */
  get isTap() {
    return this.#sideways === null;
  }
}

/** @type {Map<number, Swipe>} by pointer */
const swipes = new Map();
/** Whether it was a finger that touched last. */
let touched = false;

window.addEventListener(
  "pointerdown",
  ({ pointerType, pointerId, clientX, clientY }) => {
    touched = pointerType === "touch";
    if (touched) swipes.set(pointerId, new Swipe(clientX, clientY));
  },
  { capture: true },
);

// After a tap some browsers play a mouse, which would move the slider.
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

/** A slider under a finger. */
class Grip {
  /** From where on the swipe moves it. @type {number | null} */
  #from = null;

  /** @param {HTMLInputElement} slider @param {Touch} finger */
  constructor(slider, { clientX, clientY }) {
    this.slider = slider;
    this.start = slider.valueAsNumber;
    /** What it is to be, whatever the browser makes of the touch. */
    this.value = slider.value;
    this.swipe = new Swipe(clientX, clientY);
  }

  /** @param {Touch} finger */
  move({ clientX, clientY }) {
    if (!this.swipe.isSideways(clientX, clientY)) return;
    this.#from ??= this.swipe.x + CLEAR * Math.sign(clientX - this.swipe.x);
    const { min, max, clientWidth } = this.slider;
    this.#set(this.start + ((clientX - this.#from) / clientWidth) * (Number(max || 100) - Number(min)));
  }

  /** A slider that reacts to "tap" is told where, as a share of its length. */
  end() {
    this.restore();
    const { left, width } = this.slider.getBoundingClientRect();
    if (this.swipe.isTap) this.slider.dispatchEvent(new CustomEvent("tap", { detail: (this.swipe.x - left) / width }));
    if (this.#from !== null) this.slider.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** It is a scroll after all. */
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
        // after the browser's own events of this touch
        if (grip === released) grip = null;
      });
    },
    { capture: true },
  );
}

// What the browser itself makes of a touch on a slider.
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

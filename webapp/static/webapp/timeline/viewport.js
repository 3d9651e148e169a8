/** The visible part of the song: all panes zoom and scroll together, and follow the playhead. */

/** @typedef {import("./timeline-pane.js").TimelinePane} TimelinePane */

const ZOOM_STEP = 1.5;
/** The server's peaks have no finer detail to show. */
const MAX_PIXELS_PER_SECOND = 200;
/** Where the playhead reappears after leaving the visible part, as a fraction of it. */
const AHEAD = 0.1;

export class Viewport {
  /** Pixels per second; 0 shows the whole song. */
  #pixels = 0;
  #position = 0;
  /** Whether scrolling was started here, so that panes do not move one another. */
  #moving = false;

  /**
   * @param {readonly TimelinePane[]} panes of equal width
   * @param {number} duration seconds
   * @param {(start: number, end: number) => void} onMove called with the visible part, seconds
   */
  constructor(panes, duration, onMove) {
    this.panes = panes;
    this.duration = duration;
    this.onMove = onMove;
    for (const { wave } of panes) {
      wave.on("scroll", (start) => {
        if (!this.#moving) this.scrollTo(start);
      });
    }
    panes[0].wave.on("redraw", () => onMove(this.start, this.end));
  }

  get width() {
    return this.panes[0].wave.getWidth();
  }

  /** Pixels per second. */
  get scale() {
    return Math.max(this.#pixels, this.width / this.duration);
  }

  /** First visible second. */
  get start() {
    return this.panes[0].wave.getScroll() / this.scale;
  }

  get end() {
    return Math.min(this.start + this.width / this.scale, this.duration);
  }

  /**
   * @param {number} steps in, or out if negative
   * @param {number} [around] second that stays where it is on the screen
   */
  zoom(steps, around = this.#isVisible(this.#position) ? this.#position : (this.start + this.end) / 2) {
    const place = (around - this.start) * this.scale;
    const pixels = Math.min(
      this.scale * ZOOM_STEP ** steps,
      Math.max(MAX_PIXELS_PER_SECOND, this.width / this.duration),
    );
    this.#pixels = pixels * this.duration > this.width * 1.01 ? pixels : 0;
    for (const pane of this.panes) pane.zoom(this.#pixels);
    this.scrollTo(around - place / this.scale);
  }

  /** Shows the whole song. */
  fit() {
    this.zoom(-Infinity);
  }

  /** @param {number} start the first second to show */
  scrollTo(start) {
    this.#moving = true;
    for (const { wave } of this.panes) wave.setScroll(start * this.scale);
    this.#moving = false;
    this.onMove(this.start, this.end);
  }

  /** Follows the playhead, unless somebody has scrolled away from it. @param {number} seconds */
  follow(seconds) {
    const [watched, leaves] = [this.#isVisible(this.#position), !this.#isVisible(seconds)];
    if (watched && leaves) this.show(seconds);
    this.#position = seconds;
  }

  /** Scrolls to a moment unless it is visible. @param {number} seconds */
  show(seconds) {
    if (!this.#isVisible(seconds)) this.scrollTo(seconds - AHEAD * (this.end - this.start));
    this.#position = seconds;
  }

  /**
   * Ctrl and wheel zoom around the pointer; Shift and wheel scroll.
   * @param {WheelEvent} event
   * @param {HTMLElement} lane under the pointer
   */
  onWheel(event, lane) {
    const across = event.deltaX || (event.shiftKey ? event.deltaY : 0);
    if (!event.ctrlKey && !across) return;
    event.preventDefault();
    const under = this.start + (event.clientX - lane.getBoundingClientRect().left) / this.scale;
    if (event.ctrlKey) this.zoom(Math.sign(-event.deltaY) / 2, under);
    else this.scrollTo(this.start + across / this.scale);
  }

  /** @param {number} seconds */
  #isVisible(seconds) {
    return this.start <= seconds && seconds <= this.end;
  }
}

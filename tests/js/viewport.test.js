import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Viewport } from "../../webapp/static/webapp/timeline/viewport.js";
import { close } from "./support.js";

const WIDTH = 1000;
const DURATION = 100;

/** A pane without a page, with wavesurfer's arithmetic: it scrolls no further than its drawing reaches. */
class FakePane {
  pixels = WIDTH / DURATION;
  #scroll = 0;
  /** @type {Record<string, (value?: number) => void>} */
  #handlers = {};

  wave = {
    on: (/** @type {string} */ event, /** @type {() => void} */ handler) => {
      this.#handlers[event] = handler;
    },
    getWidth: () => WIDTH,
    getScroll: () => this.#scroll,
    setScroll: (/** @type {number} */ pixels) => {
      this.#scroll = Math.min(Math.max(pixels, 0), this.pixels * DURATION - WIDTH);
      this.#handlers.scroll?.(this.#scroll / this.pixels);
    },
  };

  /** @param {number} pixels a second; 0: the whole song */
  zoom(pixels) {
    this.pixels = pixels || WIDTH / DURATION;
  }
}

/** @type {FakePane[]} */
let panes;
/** @type {any} */
let view;
/** @type {[number, number][]} */
let shown;

beforeEach(() => {
  panes = [new FakePane(), new FakePane()];
  shown = [];
  view = new Viewport(/** @type {any} */ (panes), DURATION, (start, end) => shown.push([start, end]));
});

test("at first the whole song is visible", () => {
  assert.deepEqual([view.start, view.end, view.scale], [0, DURATION, 10]);
});

test("zooming keeps the playhead in its place", () => {
  view.show(40);
  view.zoom(2);
  close(view.scale, 22.5);
  close((40 - view.start) * view.scale, 400);
  close(panes[1].pixels, view.scale);
  assert.deepEqual(shown.at(-1), [view.start, view.end]);
});

test("zooming keeps the point under the mouse in its place", () => {
  view.zoom(3, 80);
  close((80 - view.start) * view.scale, 800);
});

test("zooming stops where the peaks have no more to show, and at the whole song", () => {
  view.zoom(100);
  assert.equal(view.scale, 200);
  view.fit();
  assert.deepEqual([view.start, view.end], [0, DURATION]);
});

test("panes scroll together", () => {
  view.zoom(2);
  panes[1].wave.setScroll(450);
  close(view.start, 20);
  assert.equal(panes[0].wave.getScroll(), 450);
});

test("the view follows the playhead out of sight", () => {
  view.zoom(4, 0);
  const { start, end } = view;
  view.follow(end - 1);
  assert.equal(view.start, start);
  view.follow(end + 0.1);
  close(view.start, end + 0.1 - 0.1 * (end - start));
});

test("the view stays where somebody has scrolled to", () => {
  view.zoom(4, 0);
  view.scrollTo(60);
  view.follow(1);
  close(view.start, 60);
  view.show(1);
  close(view.start, 0);
});

test("the wheel zooms with Ctrl, scrolls with Shift, and is left alone otherwise", () => {
  const lane = /** @type {any} */ ({ getBoundingClientRect: () => ({ left: 100 }) });
  let prevented = 0;
  const wheel = (/** @type {object} */ more) =>
    view.onWheel({ deltaX: 0, deltaY: 0, clientX: 600, preventDefault: () => prevented++, ...more }, lane);
  wheel({ deltaY: 100 });
  assert.deepEqual([prevented, view.scale], [0, 10]);
  wheel({ deltaY: -100, ctrlKey: true });
  close(view.scale, 10 * Math.sqrt(1.5));
  close((50 - view.start) * view.scale, 500);
  const { start, scale } = view;
  wheel({ deltaY: 30, shiftKey: true });
  close(view.start, start + 30 / scale);
  assert.equal(prevented, 2);
});

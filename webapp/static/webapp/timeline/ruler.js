/** The ruler above the lanes. Dragging along it sets a loop, whose edges can be moved. */

import Regions from "../../vendor/wavesurfer/plugins/regions.esm.js";
import Timeline from "../../vendor/wavesurfer/plugins/timeline.esm.js";
import { clock } from "../lib/format.js";
import { TimelinePane } from "./timeline-pane.js";

/**
 * @typedef {import("../audio/mix-query.js").Span} Span
 * @typedef {import("wavesurfer.js/plugins/regions").Region} Region
 */

const HEIGHT = 28;
/** Shorter drags are accidental, seconds. */
const MIN_LOOP = 0.1;
const COLOUR = "var(--loop-mark)";

export class Ruler extends TimelinePane {
  #regions = Regions.create();
  /** @type {Region | null} */
  #region = null;
  #showing = false;

  /**
   * @param {HTMLElement} container @param {number} duration seconds
   * @param {(seconds: number) => void} onSeek @param {(loop: Span) => void} onLoop
   */
  constructor(container, duration, onSeek, onLoop) {
    const times = { height: HEIGHT, secondaryLabelOpacity: 0.6, formatTimeCallback: clock };
    super(container, duration, { height: 0, peaks: [[0]], plugins: [Timeline.create(times)] });
    this.onClick(onSeek);
    const scroller = /** @type {HTMLElement} */ (this.wave.getWrapper().parentElement);
    scroller.style.touchAction = "pan-y pinch-zoom"; // a finger sets a loop, even where the ruler could scroll
    this.wave.registerPlugin(this.#regions);
    this.#regions.enableDragSelection({ color: COLOUR, minLength: MIN_LOOP });
    this.#regions.on("region-created", (region) => {
      if (!this.#showing) onLoop(this.#replaceRegion(region));
    });
    this.#regions.on("region-updated", (region) => onLoop(region));
  }

  /** @param {Span | null} loop */
  showLoop(loop) {
    super.showLoop(loop);
    if (!loop) {
      this.#region?.remove();
      this.#region = null;
    } else if (this.#region) this.#region.setOptions(loop);
    else {
      this.#showing = true;
      this.#region = this.#regions.addRegion({ ...loop, color: COLOUR, minLength: MIN_LOOP });
      this.#showing = false;
    }
  }

  /** A new loop replaces the old one. @param {Region} region @returns {Span} */
  #replaceRegion(region) {
    this.#region?.remove();
    this.#region = region;
    return region;
  }
}

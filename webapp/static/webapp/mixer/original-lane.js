/** The lane of the original: to compare the mix with, and to play what is not separated yet. */

import { find } from "../lib/dom.js";
import { Waveform } from "../timeline/waveform.js";
import { laneElement } from "./lane.js";

export class OriginalLane {
  /**
   * @param {HTMLElement} place container of the lanes
   * @param {number} duration seconds
   * @param {boolean} comparable whether there is a mix to compare the original with
   * @param {{onToggle: () => void, onSeek: (seconds: number) => void}} listener
   */
  constructor(place, duration, comparable, { onToggle, onSeek }) {
    this.root = laneElement("#original-template", "original");
    place.prepend(this.root);
    this.waveform = new Waveform(find(this.root, ".waveform"), duration, onSeek);
    find(this.root, ".compare").addEventListener("click", onToggle);
    find(this.root, ".compare").hidden = !comparable;
  }

  /**
   * @param {boolean} chosen whether it was switched on
   * @param {boolean} sounding whether it is playing, switched on or not
   */
  show(chosen, sounding) {
    find(this.root, ".compare").ariaPressed = String(chosen);
    this.root.classList.toggle("silent", !sounding);
  }

  destroy() {
    this.waveform.destroy();
    this.root.remove();
  }
}

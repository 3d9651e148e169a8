/** The formats that a lane's arrow offers for its stem. */

import { capitalised } from "../lib/format.js";

/** Space between the menu and its arrow, pixels. */
const GAP = 4;

export class FormatMenu {
  /** The arrow that opened it. @type {HTMLButtonElement | null} */
  #opener = null;

  /**
   * @param {HTMLElement} root a popover
   * @param {readonly HTMLOptionElement[]} codings
   * @param {(stem: string, coding: string) => Promise<void>} onChoose resolves once the file is there, or won't be
   */
  constructor(root, codings, onChoose) {
    this.root = root;
    this.onChoose = onChoose;
    root.replaceChildren(...codings.map((coding) => this.#item(coding)));
    root.addEventListener("keydown", (event) => event.stopPropagation()); // Esc closes it and does not stop the song
    document.addEventListener("click", ({ target }) => {
      const arrow = target instanceof Element ? target.closest(".lane .download") : null;
      if (arrow instanceof HTMLButtonElement) this.#open(arrow);
    });
  }

  /** @param {HTMLOptionElement} coding */
  #item({ value, label }) {
    const item = document.createElement("button");
    item.type = "button";
    item.textContent = label;
    item.addEventListener("click", () => void this.#choose(value));
    return item;
  }

  /** @param {HTMLButtonElement} arrow */
  #open(arrow) {
    this.#opener = arrow;
    this.root.ariaLabel = `Export ${capitalised(stemOf(arrow))} as`;
    this.root.showPopover();
    const { bottom, top, right } = arrow.getBoundingClientRect();
    const { offsetWidth, offsetHeight, style } = this.root;
    const below = bottom + GAP + offsetHeight <= innerHeight;
    style.left = `${Math.max(GAP, right - offsetWidth)}px`;
    style.top = `${below ? bottom + GAP : Math.max(GAP, top - GAP - offsetHeight)}px`;
    this.root.querySelector("button")?.focus();
  }

  /** @param {string} coding */
  async #choose(coding) {
    const arrow = this.#opener;
    this.root.hidePopover();
    if (!arrow) return;
    arrow.focus();
    arrow.ariaBusy = "true";
    await this.onChoose(stemOf(arrow), coding);
    arrow.ariaBusy = null;
  }
}

/** @param {Element} arrow */
const stemOf = (arrow) => arrow.closest(".lane")?.getAttribute("data-stem") ?? "";

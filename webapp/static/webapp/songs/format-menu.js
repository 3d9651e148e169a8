/** The menu of formats that opens from a lane's export button. */

import { capitalised } from "../lib/format.js";

/** Space between the menu and its button, pixels. */
const GAP = 4;

export class FormatMenu {
  /** The button that opened the menu. @type {HTMLButtonElement | null} */
  #opener = null;

  /**
   * @param {HTMLElement} root a popover
   * @param {readonly HTMLOptionElement[]} formats
   * @param {(stem: string, format: string) => Promise<void>} onChoose resolves once the export is over
   */
  constructor(root, formats, onChoose) {
    this.root = root;
    this.onChoose = onChoose;
    root.replaceChildren(...formats.map((format) => this.#item(format)));
    root.addEventListener("keydown", (event) => event.stopPropagation()); // Esc closes the menu and must not stop the song
    document.addEventListener("click", ({ target }) => {
      const arrow = target instanceof Element ? target.closest(".lane .download") : null;
      if (arrow instanceof HTMLButtonElement) this.#open(arrow);
    });
  }

  /** @param {HTMLOptionElement} format */
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

  /** @param {string} format */
  async #choose(format) {
    const arrow = this.#opener;
    this.root.hidePopover();
    if (!arrow) return;
    arrow.focus();
    arrow.ariaBusy = "true";
    await this.onChoose(stemOf(arrow), format);
    arrow.ariaBusy = null;
  }
}

/** @param {Element} arrow */
const stemOf = (arrow) => arrow.closest(".lane")?.getAttribute("data-stem") ?? "";

/** One file that the server writes for somebody: how far it is, cancel, try again, and its download. */

import { fetchExport, removeExport } from "../lib/api.js";
import { find, fromTemplate, showFraction, write } from "../lib/dom.js";
import { size } from "../lib/format.js";

/** @typedef {import("../lib/api.js").ExportJob} ExportJob */

/** How often the server is asked how far it is, milliseconds. */
const ASK = 700;
const WORDS = { queued: "waiting", running: "in progress", done: "", failed: "" };

export class ExportRow {
  /** @type {ExportJob | null} */
  #job = null;
  #removed = false;

  /**
   * @param {string} name what it is, for people
   * @param {ExportJob | (() => Promise<ExportJob>)} order asks the server for it, if it was not asked on an earlier visit
   * @param {() => void} onRemoved the row with the focus is gone
   */
  constructor(name, order, onRemoved) {
    this.order = typeof order === "function" ? order : null;
    this.#job = typeof order === "function" ? null : order;
    this.onRemoved = onRemoved;
    this.root = fromTemplate("#export-template");
    this.link = /** @type {HTMLAnchorElement} */ (find(this.root, "a"));
    write(find(this.root, ".what"), name);
    find(this.root, "progress").ariaLabel = name;
    find(this.root, "[data-cancel]").addEventListener("click", () => this.#remove());
    find(this.root, "[data-retry]").addEventListener("click", () => void this.#run());
    /** Resolves once there is a file, or won't be one. */
    this.made = this.#run();
  }

  /** Orders it and watches over it until it is there. */
  async #run() {
    this.#complain("");
    this.#show("queued", null);
    try {
      if (this.order) this.#job = await this.order();
      while (!this.#removed && this.#job && (this.#job.state === "queued" || this.#job.state === "running")) {
        this.#show(this.#job.state, this.#job.progress);
        await new Promise((resolve) => setTimeout(resolve, ASK));
        this.#job = await fetchExport(this.#job.url);
      }
      if (this.#removed || !this.#job) return void this.#discard();
      if (this.#job.state === "failed") this.#complain(this.#job.error);
      else this.#finish(this.#job);
    } catch (error) {
      if (!this.#removed) this.#complain(error instanceof Error ? error.message : String(error));
    }
  }

  /** Saved at once if it was asked for just now; the link stays for when the browser did not do so. @param {ExportJob} job */
  #finish({ file_url, filename, size: bytes }) {
    this.#show("done", undefined);
    this.link.href = file_url ?? "";
    this.link.textContent = `Download ${filename}${bytes ? ` (${size(bytes)})` : ""}`;
    this.link.hidden = false;
    if (this.order) this.link.click();
  }

  /** @param {string} error "": none */
  #complain(error) {
    const problem = find(this.root, "[data-problem]");
    problem.hidden = !error;
    find(this.root, "[data-retry]").hidden = !error || !this.order;
    write(problem, error);
    if (!error) return;
    this.#show("failed", undefined);
    this.root.scrollIntoView({ block: "nearest" }); // it may have been asked for from a lane, far above
  }

  /** @param {ExportJob["state"]} state @param {number | null | undefined} fraction */
  #show(state, fraction) {
    write(find(this.root, "[data-label]"), WORDS[state]);
    showFraction(find(this.root, "progress"), fraction);
    write(find(this.root, "[data-cancel]"), state === "queued" || state === "running" ? "Cancel" : "Remove");
  }

  #remove() {
    this.#removed = true;
    this.root.remove();
    this.onRemoved();
    void this.#discard();
  }

  /** If it cannot be reached, the server clears it away by itself after a while. */
  async #discard() {
    if (this.#job) await removeExport(this.#job.url).catch(() => undefined);
  }
}

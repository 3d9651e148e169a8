/** A row for one export: its progress, its download, and buttons to cancel it or try again. */

import { fetchExport, removeExport } from "../lib/api.js";
import { find, fromTemplate, showFraction, write } from "../lib/dom.js";
import { size } from "../lib/format.js";

/** @typedef {import("../lib/api.js").ExportJob} ExportJob */

/** How often the export's progress is fetched, milliseconds. */
const POLL_INTERVAL = 700;
const STATE_TEXT = { queued: "waiting", running: "in progress", done: "", failed: "" };

export class ExportRow {
  /** @type {ExportJob | null} */
  #job = null;
  #removed = false;

  /**
   * @param {string} name for people
   * @param {ExportJob | (() => Promise<ExportJob>)} request starts the export; an ExportJob was started on an earlier
   *   visit
   * @param {() => void} onRemoved called when the row, which had the focus, is gone
   */
  constructor(name, request, onRemoved) {
    this.request = typeof request === "function" ? request : null;
    this.#job = typeof request === "function" ? null : request;
    this.onRemoved = onRemoved;
    this.root = fromTemplate("#export-template");
    this.link = /** @type {HTMLAnchorElement} */ (find(this.root, "a"));
    write(find(this.root, ".what"), name);
    find(this.root, "progress").ariaLabel = name;
    find(this.root, "[data-cancel]").addEventListener("click", () => this.#remove());
    find(this.root, "[data-retry]").addEventListener("click", () => void this.#run());
    /** Resolves once the export is over, with or without a file. */
    this.finished = this.#run();
  }

  /** Starts the export and follows it to its end. */
  async #run() {
    this.#showError("");
    this.#show("queued", null);
    try {
      if (this.request) this.#job = await this.request();
      while (!this.#removed && this.#job && (this.#job.state === "queued" || this.#job.state === "running")) {
        this.#show(this.#job.state, this.#job.progress);
        await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
        this.#job = await fetchExport(this.#job.url);
      }
      if (this.#removed || !this.#job) return void this.#discard();
      if (this.#job.state === "failed") this.#showError(this.#job.error);
      else this.#finish(this.#job);
    } catch (error) {
      if (!this.#removed) this.#showError(error instanceof Error ? error.message : String(error));
    }
  }

  /**
   * Downloads the file at once if this visit started the export; the link remains in case the browser blocks that.
   * @param {ExportJob} job
   */
  #finish({ file_url, filename, size: bytes }) {
    this.#show("done", undefined);
    this.link.href = file_url ?? "";
    this.link.textContent = `Download ${filename}${bytes ? ` (${size(bytes)})` : ""}`;
    this.link.hidden = false;
    if (this.request) this.link.click();
  }

  /** @param {string} error "" for none */
  #showError(error) {
    const problem = find(this.root, "[data-problem]");
    problem.hidden = !error;
    find(this.root, "[data-retry]").hidden = !error || !this.request;
    write(problem, error);
    if (!error) return;
    this.#show("failed", undefined);
    this.root.scrollIntoView({ block: "nearest" }); // it may have been started from a lane far above
  }

  /** @param {ExportJob["state"]} state @param {number | null | undefined} fraction */
  #show(state, fraction) {
    write(find(this.root, "[data-label]"), STATE_TEXT[state]);
    showFraction(find(this.root, "progress"), fraction);
    write(find(this.root, "[data-cancel]"), state === "queued" || state === "running" ? "Cancel" : "Remove");
  }

  #remove() {
    this.#removed = true;
    this.root.remove();
    this.onRemoved();
    void this.#discard();
  }

  /** Failures are ignored: the server deletes old exports by itself. */
  async #discard() {
    if (this.#job) await removeExport(this.#job.url).catch(() => undefined);
  }
}

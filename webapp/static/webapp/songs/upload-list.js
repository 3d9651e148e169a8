/**
 * Uploads on the home page: selected or dropped files, each with a row of its own until it becomes a song in the list.
 */

import { ApiError, pageData, upload } from "../lib/api.js";
import { find, fromTemplate, showFraction, write } from "../lib/dom.js";
import { longest, size } from "../lib/format.js";

/**
 * @typedef {import("../lib/api.js").Job} Job
 * @typedef {object} Upload
 * @property {File} file
 * @property {HTMLElement} row
 * @property {AbortController} abort
 */

/** Concurrent uploads: a short song need not wait for a long one, and none gets too little bandwidth. */
const MAX_CONCURRENT = 2;
/** Statuses that refuse the file itself: the same file would be refused again. */
const REFUSED = [400, 413];

export class UploadList {
  /** @type {Upload[]} */
  #waiting = [];
  #running = 0;
  /** Jobs of the current batch, which ends when nothing is left to upload. @type {Job[]} */
  #sent = [];
  #addedCount = 0;

  /**
   * @param {HTMLElement} page
   * @param {string} url of the upload endpoint
   * @param {object} listener
   * @param {(job: Job) => void} listener.onJob called for each uploaded song
   * @param {(job: Job) => void} listener.onSingle called if the batch was a single song
   */
  constructor(page, url, { onJob, onSingle }) {
    this.page = page;
    this.url = url;
    this.onJob = onJob;
    this.onSingle = onSingle;
    this.rows = find(page, "#uploads");
    this.options = /** @type {HTMLFormElement} */ (find(page, "#upload-options"));
    /** @type {{max_bytes: number, max_seconds: number}} */
    this.limits = pageData("limits-data");
    write(find(page, "#limits"), `Up to ${size(this.limits.max_bytes)} and ${longest(this.limits.max_seconds)} each.`);
    this.#wireFileInput();
    this.#wireDrop();
    window.addEventListener("beforeunload", (event) => {
      if (this.#running) event.preventDefault();
    });
  }

  #wireFileInput() {
    const input = /** @type {HTMLInputElement} */ (find(this.page, "#files"));
    input.addEventListener("change", () => {
      this.#addAll([...(input.files ?? [])]);
      input.value = "";
    });
  }

  #wireDrop() {
    const zone = find(this.page, "#drop");
    document.addEventListener("dragover", (event) => {
      event.preventDefault(); // or the browser opens the file instead of dropping it
      zone.classList.add("over");
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) zone.classList.remove("over");
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      this.#addAll([...(event.dataTransfer?.files ?? [])]);
    });
  }

  /** @param {File[]} files */
  #addAll(files) {
    for (const file of files) this.#add(file);
    this.#sendNext();
  }

  /** @param {File} file */
  #add(file) {
    const added = { file, row: fromTemplate("#upload-template"), abort: new AbortController() };
    const { row } = added;
    this.#addedCount += 1;
    write(find(row, "[data-title]"), file.name);
    find(row, '[data-action="cancel"]').addEventListener("click", () => this.#drop(added));
    find(row, '[data-action="retry"]').addEventListener("click", () => this.#queue(added));
    this.rows.append(row);
    if (file.size > this.limits.max_bytes) this.#refuse(added);
    else this.#queue(added);
  }

  /** @param {Upload} added */
  #queue(added) {
    const { row } = added;
    row.dataset.state = "uploading";
    write(find(row, "[data-label]"), "Waiting");
    write(find(row, "[data-detail]"), "");
    write(find(row, '[data-action="cancel"]'), "Cancel");
    find(row, '[data-action="retry"]').hidden = true;
    showFraction(find(row, "progress"), 0);
    this.#waiting.push(added);
    this.#sendNext();
  }

  /** @param {Upload} added */
  #drop({ row, abort }) {
    abort.abort();
    row.remove();
    this.#waiting = this.#waiting.filter((other) => other.row !== row);
  }

  #sendNext() {
    while (this.#running < MAX_CONCURRENT) {
      const next = this.#waiting.shift();
      if (!next) break;
      this.#running += 1;
      void this.#send(next).finally(() => this.#onEnded());
    }
  }

  #onEnded() {
    this.#running -= 1;
    this.#sendNext();
    if (this.#running) return;
    const [sent, count] = [this.#sent, this.#addedCount];
    [this.#sent, this.#addedCount] = [[], 0];
    if (count === 1 && sent.length === 1) this.onSingle(sent[0]);
  }

  /** @param {Upload} next */
  async #send(next) {
    const { file, row, abort } = next;
    try {
      const job = await upload(
        this.url,
        file,
        this.options,
        (fraction) => showProgress(row, file, fraction),
        abort.signal,
      );
      row.remove();
      this.#sent.push(job);
      this.onJob(job);
    } catch (error) {
      if (abort.signal.aborted) return;
      showFailure(row, /** @type {Error} */ (error).message);
      find(row, '[data-action="retry"]').hidden = error instanceof ApiError && REFUSED.includes(error.status);
    }
  }

  /** @param {Upload} added */
  #refuse({ file, row }) {
    showFailure(row, `This file is ${size(file.size)}; the maximum is ${size(this.limits.max_bytes)}.`);
  }
}

/** @param {HTMLElement} row @param {File} file @param {number} fraction */
function showProgress(row, file, fraction) {
  const done = fraction === 1 ? "Checking the file" : `Uploading: ${size(fraction * file.size)} of ${size(file.size)}`;
  write(find(row, "[data-label]"), done);
  showFraction(find(row, "progress"), fraction);
}

/** @param {HTMLElement} row @param {string} message */
function showFailure(row, message) {
  row.dataset.state = "failed";
  write(find(row, "[data-label]"), "Upload failed");
  write(find(row, "[data-detail]"), message);
  write(find(row, '[data-action="cancel"]'), "Dismiss");
  showFraction(find(row, "progress"), undefined);
}

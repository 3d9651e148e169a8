/** The list of songs on the home page: searchable, sortable, and with undo for deletions. */

import { find, fromTemplate, write } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { JobCard } from "./job-card.js";
import { popDeletion } from "./last-deleted.js";
import { Rename } from "./rename.js";
import { Thumbnail } from "./thumbnail.js";
import { offerUndo } from "./undo-row.js";

/**
 * @typedef {import("../lib/api.js").Job} Job
 * @typedef {object} Row
 * @property {HTMLElement} root
 * @property {Job} job
 * @property {((job: Job) => void) | null} update null: the song was deleted and the row offers to restore it
 */

const STORED_SORT = "soundscape.sort";
/** Fields that affect sorting and searching: other changes, such as progress, move nothing. @type {(keyof Job)[]} */
const SORT_AND_SEARCH_KEYS = ["title", "artist", "state", "duration"];
/** Songs that need attention come first. @type {Job["state"][]} */
const STATE_ORDER = ["failed", "running", "queued", "cancelled", "done"];
const { compare } = new Intl.Collator(document.documentElement.lang, { numeric: true, sensitivity: "base" });

/** Sorts after any length, seconds. Infinity would give NaN when subtracted from itself. */
const UNKNOWN_LENGTH = Number.MAX_VALUE;
/** @type {Record<string, (one: Job, other: Job) => number>} */
const ORDERS = {
  newest: () => 0,
  title: (one, other) => compare(one.title, other.title),
  length: (one, other) => (one.duration ?? UNKNOWN_LENGTH) - (other.duration ?? UNKNOWN_LENGTH),
  state: (one, other) => STATE_ORDER.indexOf(one.state) - STATE_ORDER.indexOf(other.state),
};

export class SongList {
  /** @type {Map<string, Row>} */
  #rows = new Map();

  /** @param {HTMLElement} root holds the list and its search form */
  constructor(root) {
    this.list = find(root, "#songs");
    this.tools = find(root, "#search-form");
    this.search = /** @type {HTMLInputElement} */ (find(root, "#search"));
    this.sort = /** @type {HTMLSelectElement} */ (find(root, "#sort"));
    this.found = find(root, "#found");
    this.empty = find(root, "#empty");
    this.tools.addEventListener("submit", (event) => event.preventDefault());
    this.search.addEventListener("input", () => this.arrange());
    this.sort.value = storedSort();
    this.sort.addEventListener("change", () => {
      localStorage.setItem(STORED_SORT, this.sort.value);
      this.arrange();
    });
  }

  /** @param {Job[]} jobs the complete list */
  showAll(jobs) {
    const known = new Set(jobs.map(({ id }) => id));
    for (const id of this.#rows.keys()) if (!known.has(id)) this.#drop(id);
    for (const job of jobs) this.#put(job);
    this.arrange();
  }

  /** Offers to restore a song that was deleted on the previous page. */
  offerLastDeleted() {
    const job = popDeletion();
    if (job && !this.#rows.has(job.id)) this.#offerAndFocus(job);
  }

  /** Adds or updates a song, unless it has just been deleted here. @param {Job} job */
  show(job) {
    const before = this.#rows.get(job.id)?.job;
    this.#put(job);
    if (!before || SORT_AND_SEARCH_KEYS.some((key) => before[key] !== job[key])) this.arrange();
  }

  /** Removes a song that was deleted elsewhere. @param {string} id */
  removeJob(id) {
    this.#drop(id);
    this.arrange();
  }

  /** Sorts the rows, hides those that do not match the search, and updates the count. */
  arrange() {
    const newest = [...this.#rows.values()].sort(
      (one, other) => Date.parse(other.job.created_at) - Date.parse(one.job.created_at),
    );
    const order = newest.sort((one, other) => ORDERS[this.sort.value](one.job, other.job));
    const wanted = words(this.search.value);
    for (const { root, job, update } of order) root.hidden = update !== null && !matches(job, wanted);
    place(
      this.list,
      order.map(({ root }) => root),
    );
    const songs = order.filter(({ update }) => update);
    this.tools.hidden = songs.length === 0;
    write(
      this.found,
      foundWords(songs.filter(({ root }) => !root.hidden).length, songs.length, this.search.value.trim()),
    );
    this.empty.hidden = order.length > 0;
  }

  /** @param {Job} job */
  #put(job) {
    const row = this.#rows.get(job.id) ?? this.#add(job);
    row.job = job;
    row.update?.(job);
  }

  /** @param {Job} job @returns {Row} */
  #add(job) {
    const root = fromTemplate("#song-template");
    /** @type {Row} */
    const row = { root, job, update: (changed) => views.forEach((view) => view.update(changed)) };
    const onJob = (/** @type {Job} */ changed) => this.show(changed);
    const views = [
      new JobCard(root, job, { onJob, onDeleted: (gone) => this.#offerAndFocus(gone) }),
      new Thumbnail(find(root, "[data-thumbnail]")),
      new Description(root),
    ];
    new Rename(root, () => row.job, onJob);
    this.#rows.set(job.id, row);
    return row;
  }

  /** @param {string} id */
  #drop(id) {
    const row = this.#rows.get(id);
    if (!row?.update) return; // deleted here
    row.root.remove();
    this.#rows.delete(id);
  }

  /** @param {Job} job */
  #offerAndFocus(job) {
    popDeletion();
    const row = this.#offer(job);
    this.arrange();
    find(row, "[data-undo]").focus();
  }

  /** @param {Job} job @returns {HTMLElement} the row that replaces the song's */
  #offer(job) {
    this.#rows.get(job.id)?.root.remove();
    const root = fromTemplate("#deleted-template");
    this.#rows.set(job.id, { root, job, update: null });
    offerUndo(
      root,
      job,
      (restored) => this.#restore(restored),
      () => this.#remove(job.id),
    );
    return root;
  }

  /** @param {Job} job */
  #restore(job) {
    this.#remove(job.id);
    this.show(job);
    find(/** @type {Row} */ (this.#rows.get(job.id)).root, "h3 a").focus();
  }

  /** @param {string} id */
  #remove(id) {
    this.#rows.get(id)?.root.remove();
    this.#rows.delete(id);
    this.arrange();
  }
}

/** A row's title, artist, length and stems, and accessible names that include the title. */
class Description {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
  }

  /** @param {Job} job */
  update(job) {
    write(find(this.root, "h3 a"), job.title);
    write(find(this.root, "[data-artist]"), job.artist);
    write(find(this.root, "[data-length]"), job.duration === null ? "" : clock(job.duration));
    for (const link of this.root.querySelectorAll("a")) link.href = job.url;
    for (const button of this.root.querySelectorAll("[data-label-prefix]")) {
      button.setAttribute("aria-label", `${button.getAttribute("data-label-prefix")}: ${job.title}`);
    }
    find(this.root, "[data-open]").hidden = job.audio === null;
    this.#showStems(find(this.root, ".stems"), job);
  }

  /** @param {HTMLElement} list @param {Job} job */
  #showStems(list, { stems }) {
    if (list.childElementCount === stems.length) return;
    list.hidden = stems.length === 0;
    list.replaceChildren(
      ...stems.map(({ name }) => {
        const item = document.createElement("li");
        item.dataset.stem = name;
        item.textContent = name;
        return item;
      }),
    );
  }
}

/** @returns {string} the order that was selected last */
function storedSort() {
  const stored = localStorage.getItem(STORED_SORT) ?? "";
  return stored in ORDERS ? stored : "newest";
}

/** Splits into words, without case and accents. @param {string} text @returns {string[]} */
function words(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().split(/\s+/).filter(Boolean);
}

/**
 * @param {Job} job
 * @param {string[]} wanted
 * @returns {boolean} whether title, artist and file name contain every word
 */
function matches({ title, artist, filename }, wanted) {
  const text = words(`${title} ${artist} ${filename}`).join(" ");
  return wanted.every((word) => text.includes(word));
}

/** @param {number} shown @param {number} all @param {string} sought */
function foundWords(shown, all, sought) {
  const songs = `${all} song${all === 1 ? "" : "s"}`;
  if (!sought) return songs;
  return shown === 0 ? `None of ${songs} matches “${sought}”.` : `${shown} of ${songs}`;
}

/**
 * Moves only elements that are out of place, because moving an element takes the focus from it.
 * @param {HTMLElement} list @param {HTMLElement[]} order
 */
function place(list, order) {
  const focused = document.activeElement;
  let next = null;
  for (const element of [...order].reverse()) {
    if (element.parentElement !== list || element.nextElementSibling !== next) list.insertBefore(element, next);
    next = element;
  }
  if (focused instanceof HTMLElement && focused !== document.activeElement) focused.focus({ preventScroll: true });
}

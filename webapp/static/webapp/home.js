/** The front page: uploads, and the list of songs as it changes. */

import { JobCard, find, write } from "./card.js";
import { listJobs, pageData, startDemo, upload, watch } from "./jobs.js";
import { clock, longest, showFraction, size } from "./status.js";

/**
 * @typedef {import("./jobs.js").Job} Job
 * @typedef {object} Upload
 * @property {File} file
 * @property {HTMLElement} row
 * @property {AbortSignal} signal
 * @property {boolean} follow open the song's page once it is there
 */

const page = find(document, "#home");
const wishes = /** @type {HTMLFormElement | undefined} */ (document.querySelector("#wishes") ?? undefined);
const songs = find(page, "#songs");
const jobsUrl = page.dataset.jobsUrl ?? "";
/** @type {{max_bytes: number, max_seconds: number}} */
const limits = pageData("limits-data");

/** @type {Map<string, {root: HTMLElement, card: JobCard}>} */
const rows = new Map();
/** Uploads go one after the other: together none would be faster, and the first song starts sooner. @type {Upload[]} */
const waiting = [];
let uploading = false;
let watching = false;

showAll(pageData("jobs-data"));
if (page.querySelector("#drop")) {
  wireUploads();
  wireStems();
}
wireDemo();
if ("known" in page.dataset) watchSongs();

/** @param {Job[]} jobs newest first */
function showAll(jobs) {
  for (const id of rows.keys()) if (!jobs.some((job) => job.id === id)) forget(id);
  for (const job of [...jobs].reverse()) show(job);
  showEmptiness();
}

/** @param {Job} job */
function show(job) {
  const row = rows.get(job.id) ?? addRow(job);
  row.card.update(job);
  write(find(row.root, "[data-length]"), job.duration === null ? "" : clock(job.duration));
  write(find(row.root, "h3 a"), job.title);
  for (const link of row.root.querySelectorAll("a")) link.href = job.url;
  showStems(find(row.root, ".stems"), job);
  find(row.root, "[data-open]").hidden = job.audio === null;
}

/** @param {HTMLElement} list @param {Job} job */
function showStems(list, { stems }) {
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

/** @param {Job} job */
function addRow(job) {
  const root = fromTemplate("#song-template");
  const card = new JobCard(root, job, { onJob: show, onDeleted: () => forget(job.id) });
  rows.set(job.id, { root, card });
  songs.prepend(root);
  showEmptiness();
  return { root, card };
}

/** @param {string} id */
function forget(id) {
  rows.get(id)?.root.remove();
  rows.delete(id);
  showEmptiness();
}

function showEmptiness() {
  find(page, "#empty").hidden = songs.childElementCount > 0;
}

/** A visitor gets an account by the first upload; before it there is nothing to watch. */
function watchSongs() {
  if (watching) return;
  watching = true;
  document.querySelector("#keep")?.removeAttribute("hidden");
  watch(page.dataset.eventsUrl ?? "", { onJob: show, onDeleted: forget, onConnection });
}

/** News missed while the line was down are fetched. @param {boolean} connected */
function onConnection(connected) {
  const banner = find(page, "#connection");
  if (connected && !banner.hidden) void listJobs(jobsUrl).then(showAll, () => undefined);
  banner.hidden = connected;
}

function wireUploads() {
  write(find(page, "#limits"), `Up to ${size(limits.max_bytes)} and ${longest(limits.max_seconds)} each.`);
  const input = /** @type {HTMLInputElement} */ (find(page, "#files"));
  input.addEventListener("change", () => {
    take([...(input.files ?? [])]);
    input.value = "";
  });
  const zone = find(page, "#drop");
  document.addEventListener("dragover", (event) => {
    event.preventDefault(); // or the browser opens the file instead of letting it drop
    zone.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) zone.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take([...(event.dataTransfer?.files ?? [])]);
  });
  window.addEventListener("beforeunload", (event) => {
    if (uploading) event.preventDefault();
  });
}

/** The fields of a disabled fieldset are not sent, so that the server gets a list only if one was chosen. */
function wireStems() {
  const wish = /** @type {HTMLSelectElement} */ (find(page, "#stems-wish"));
  const chosen = /** @type {HTMLFieldSetElement} */ (find(page, "#stems-chosen"));
  const show = () => {
    chosen.hidden = chosen.disabled = wish.value !== "chosen";
  };
  wish.addEventListener("change", show);
  show(); // a browser may have kept the wish over a reload
}

/** @param {File[]} files */
function take(files) {
  const follow = files.length === 1 && !uploading;
  for (const file of files) addUpload(file, follow);
}

/** @param {File} file @param {boolean} follow */
function addUpload(file, follow) {
  const row = fromTemplate("#upload-template");
  const abort = new AbortController();
  write(find(row, "[data-title]"), file.name);
  find(row, '[data-action="cancel"]').addEventListener("click", () => {
    abort.abort();
    row.remove();
    showEmptiness();
  });
  songs.prepend(row);
  showEmptiness();
  if (file.size > limits.max_bytes) {
    fail(row, `This file has ${size(file.size)}; the most that can be uploaded is ${size(limits.max_bytes)}.`);
    return;
  }
  waiting.push({ file, row, signal: abort.signal, follow });
  void sendWaiting();
}

async function sendWaiting() {
  if (uploading) return;
  uploading = true;
  let followed = null;
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const job = await send(next);
    if (job && next.follow && waiting.length === 0) followed = job;
  }
  uploading = false;
  if (followed) open(followed);
}

/** @param {Upload} upload @returns {Promise<Job | null>} null if it was cancelled or failed */
async function send({ file, row, signal }) {
  if (signal.aborted) return null;
  try {
    const job = await upload(jobsUrl, file, wishes, (fraction) => showUpload(row, file, fraction), signal);
    row.remove();
    show(job);
    watchSongs();
    return job;
  } catch (error) {
    if (!signal.aborted) fail(row, /** @type {Error} */ (error).message);
    return null;
  }
}

/** @param {HTMLElement} row @param {File} file @param {number} fraction */
function showUpload(row, file, fraction) {
  const done = fraction === 1 ? "Checking the file" : `Uploading: ${size(fraction * file.size)} of ${size(file.size)}`;
  write(find(row, "[data-label]"), done);
  showFraction(find(row, "progress"), fraction);
}

/** @param {HTMLElement} row @param {string} message */
function fail(row, message) {
  row.dataset.state = "failed";
  write(find(row, "[data-label]"), "Not uploaded");
  write(find(row, "[data-detail]"), message);
  write(find(row, '[data-action="cancel"]'), "Dismiss");
  showFraction(find(row, "progress"), undefined);
}

function wireDemo() {
  const problem = find(page, "#demo-problem");
  for (const button of page.querySelectorAll("[data-demo]")) {
    button.addEventListener("click", () => {
      startDemo(page.dataset.demoUrl ?? "").then(open, (error) => {
        write(problem, error.message);
        problem.hidden = false;
      });
    });
  }
}

/** @param {Job} job */
function open(job) {
  location.assign(job.url);
}

/** @param {string} selector of a template with one element @returns {HTMLElement} */
function fromTemplate(selector) {
  const template = /** @type {HTMLTemplateElement} */ (find(document, selector));
  const content = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
  return /** @type {HTMLElement} */ (content.firstElementChild);
}

/** The front page: wires uploads, the demo song and the list of songs to the server's news. */

import { find, write } from "./card.js";
import { listJobs, pageData, startDemo, watch } from "./jobs.js";
import { SongList } from "./songs.js";
import { Uploads } from "./uploads.js";

/** @typedef {import("./jobs.js").Job} Job */

const page = find(document, "#home");
const jobsUrl = page.dataset.jobsUrl ?? "";
const songs = new SongList(page);
let watching = false;

songs.showAll(pageData("jobs-data"));
songs.offerDeleted();
if (page.querySelector("#drop")) {
  new Uploads(page, jobsUrl, { onJob: welcome, onAlone: open });
  wireStems();
}
wireDemo();
if ("known" in page.dataset) watchSongs();
if ("more" in page.dataset) fetchSongs();

/** A song that has just been uploaded. @param {Job} job */
function welcome(job) {
  songs.show(job);
  watchSongs();
}

/** A visitor gets an account by the first upload; before it there is nothing to watch. */
function watchSongs() {
  if (watching) return;
  watching = true;
  document.querySelector("#keep")?.removeAttribute("hidden");
  const listener = { onJob: songs.show.bind(songs), onDeleted: songs.forget.bind(songs), onConnection };
  watch(page.dataset.eventsUrl ?? "", listener);
}

function fetchSongs() {
  void listJobs(jobsUrl).then((jobs) => songs.showAll(jobs), () => undefined);
}

/** News missed while the line was down are fetched. @param {boolean} connected */
function onConnection(connected) {
  const banner = find(page, "#connection");
  if (connected && !banner.hidden) fetchSongs();
  banner.hidden = connected;
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

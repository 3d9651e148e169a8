/** The home page: connects uploads, the demo song and the list of songs to the server's events. */

import { listJobs, pageData, startDemo } from "../lib/api.js";
import { find, write } from "../lib/dom.js";
import { JobEvents } from "../lib/job-events.js";
import { SongList } from "../songs/song-list.js";
import { UploadList } from "../songs/upload-list.js";

/** @typedef {import("../lib/api.js").Job} Job */

const page = find(document, "#home");
const jobsUrl = page.dataset.jobsUrl ?? "";
const songs = new SongList(page);
let watching = false;

songs.showAll(pageData("jobs-data"));
songs.offerLastDeleted();
if (page.querySelector("#drop")) {
  new UploadList(page, jobsUrl, { onJob: onUploaded, onSingle: open });
  wireStems();
}
wireDemo();
if ("known" in page.dataset) watchSongs();
if ("more" in page.dataset) void catchUp().catch(() => undefined);

/** Shows a song that has just been uploaded. @param {Job} job */
function onUploaded(job) {
  songs.show(job);
  watchSongs();
}

/** A visitor gets a guest account with the first upload; before that there is nothing to watch. */
function watchSongs() {
  if (watching) return;
  watching = true;
  document.querySelector("#keep-songs")?.removeAttribute("hidden");
  new JobEvents(page.dataset.eventsUrl ?? "", {
    isLive: () => !document.hidden,
    catchUp,
    onJob: songs.show.bind(songs),
    onDeleted: songs.removeJob.bind(songs),
    onConnection: (connected) => {
      find(page, "#connection").hidden = connected;
    },
  });
}

async function catchUp() {
  songs.showAll(await listJobs(jobsUrl));
}

/** Fields of a disabled fieldset are not sent, so the server receives a list of stems only if one was selected. */
function wireStems() {
  const mode = /** @type {HTMLSelectElement} */ (find(page, "#stems-mode"));
  const custom = /** @type {HTMLFieldSetElement} */ (find(page, "#stems-custom"));
  const show = () => {
    custom.hidden = custom.disabled = mode.value !== "custom";
  };
  mode.addEventListener("change", show);
  show(); // a browser may restore the selection after a reload
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

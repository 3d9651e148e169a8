/** The page of one song: how its separation goes, the mixer as soon as there is something to hear, how it was made. */

import { JobCard, find, write } from "./card.js";
import { pageData, watch } from "./jobs.js";
import { Mixer } from "./mixer.js";
import { clock, decibels } from "./status.js";

/** @typedef {import("./jobs.js").Job} Job */

/** @type {Mixer | undefined} */
let mixer;

/** @type {Job} */
const initial = pageData("job-data");
const page = find(document, "#song");
const card = new JobCard(find(page, "#status"), initial, { onJob: show, onDeleted: goHome });

show(initial);
watch(initial.events_url, {
  onJob: show,
  onDeleted: goHome,
  onConnection: (connected) => {
    find(page, "#connection").hidden = connected;
  },
});

/** @param {Job} job */
function show(job) {
  card.update(job);
  write(find(page, "#title"), job.title);
  write(find(page, "#duration"), job.duration === null ? "" : clock(job.duration));
  find(page, "#status").hidden = job.state === "done" && !job.notice;
  find(page, "#patience").hidden = job.audio !== null || (job.state !== "queued" && job.state !== "running");
  find(page, "#keyboard").hidden = job.audio === null;
  showWarnings(job.warnings);
  showMaking(job);
  if (job.audio) {
    mixer ??= new Mixer(find(page, "#mixer"), job, job.audio);
    mixer.update(job);
  }
}

function goHome() {
  location.assign(page.dataset.home ?? "/");
}

/** @param {string[]} warnings */
function showWarnings(warnings) {
  const list = find(page, "#warnings");
  list.hidden = warnings.length === 0;
  list.replaceChildren(...warnings.map((warning) => element("li", warning)));
}

/** @param {Job} job */
function showMaking(job) {
  const making = find(page, "#making");
  making.hidden = job.state !== "done";
  const models = job.models.map(({ name, licence, origin }) => `${name}: licence ${licence}${origin ? `, from ${origin}` : ""}`);
  find(making, "#models").replaceChildren(...models.map((model) => element("li", model)));
  write(find(making, "#provider"), job.provider);
  write(find(making, "#null-db"), job.null_db === null ? "not measured" : decibels(job.null_db));
}

/** @param {string} tag @param {string} text */
function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

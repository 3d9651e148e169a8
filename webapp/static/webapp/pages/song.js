/** A song's page: the progress of its separation, the mixer as soon as something can be played, and details. */

import { fetchJob, pageData } from "../lib/api.js";
import { find, write } from "../lib/dom.js";
import { clock, decibels } from "../lib/format.js";
import { JobEvents } from "../lib/job-events.js";
import { MixStorage } from "../mixer/mix-storage.js";
import { Mixer } from "../mixer/mixer.js";
import { DetectedInstruments } from "../songs/detected-instruments.js";
import { ExportForm } from "../songs/export-form.js";
import { JobActions, JobCard } from "../songs/job-card.js";
import { isLive, percent } from "../songs/job-status.js";
import { Rename } from "../songs/rename.js";
import { StemPicker } from "../songs/stem-picker.js";

/** @typedef {import("../lib/api.js").Job} Job */

/** @type {Mixer | undefined} */
let mixer;
let isLeaving = false;

/** @type {Job} */
const initial = pageData("job-data");
const page = find(document, "#song");
const mixStorage = new MixStorage(initial.id);
const card = new JobCard(find(page, "#status"), initial, { onJob: show, onDeleted: goHome });
const header = find(page, "#header");
new Rename(header, () => card.job, show);
const actions = new JobActions(header, initial, { onJob: show, onDeleted: goHome });
const stemPicker = new StemPicker(find(page, "#stem-picker"), show);
const exportForm = new ExportForm(find(page, "#export"), () => mixer?.engine);
mixStorage.onChange = () => exportForm.showHint();
const detectedInstruments = new DetectedInstruments(find(page, "#detected"), (detected, detection) =>
  mixer?.showDetected(detected, detection),
);

show(initial);
new JobEvents(page.dataset.eventsUrl ?? "", {
  isLive: () => isLive(card.job),
  catchUp: async () => {
    const job = await fetchJob(initial.api_url);
    if (job) show(job);
    else goHome();
  },
  onJob: (job) => {
    if (job.id === initial.id) show(job);
  },
  onDeleted: (id) => {
    if (id === initial.id) goHome();
  },
  onConnection: (connected) => {
    find(page, "#connection").hidden = connected;
  },
});

/** @param {Job} job */
function show(job) {
  card.update(job);
  actions.update(job);
  showMixer(job);
  write(find(page, "#title"), job.title);
  write(find(page, "#artist"), job.artist);
  document.title = windowTitle(job);
  if (job.duration !== null) write(find(page, "#duration"), clock(job.duration));
  find(page, "#status").hidden = job.state === "done" && !job.notice;
  find(page, "#progress-hint").hidden = mixer !== undefined || !isLive(job);
  showWarnings(job.warnings);
  showDetails(job);
  detectedInstruments.update(job, mixer?.lanes.map(({ name }) => name) ?? []);
  stemPicker.update(job);
  exportForm.update(job);
}

/** Starts with the progress, because a browser tab has little room. @param {Job} job */
function windowTitle({ state, progress, title }) {
  return state === "running" && progress > 0 ? `${percent(progress)} · ${title}` : `${title} · SoundScape`;
}

/** A changed or rebuilt list of stems needs a new mixer, which continues where the last one was. @param {Job} job */
function showMixer(job) {
  if (!job.audio && isLive(job)) mixer?.markOutdated();
  else if (!mixer?.fits(job)) {
    const handover = mixer?.destroy();
    mixer = job.audio ? new Mixer(find(page, "#mixer"), job, job.audio, mixStorage, handover) : undefined;
    if (!mixer) void handover?.engine.close();
  }
  if (job.audio) mixer?.update(job, job.audio);
  if (job.detected) mixer?.showDetected(job.detected, detectedInstruments.detection);
}

/**
 * Navigates only once: a deletion's response and its event both lead here, and a second navigation would abort the
 * first.
 */
function goHome() {
  if (isLeaving) return;
  isLeaving = true;
  location.assign(page.dataset.home ?? "/");
}

/** @param {string[]} warnings */
function showWarnings(warnings) {
  const list = find(page, "#warnings");
  list.hidden = warnings.length === 0;
  list.replaceChildren(...warnings.map((warning) => element("li", warning)));
}

/** @param {Job} job */
function showDetails(job) {
  const details = find(page, "#details");
  details.hidden = job.state !== "done";
  const models = job.models.map(
    ({ name, licence, origin }) => `${name}: licence ${licence}${origin ? `, from ${origin}` : ""}`,
  );
  find(details, "#models").replaceChildren(...models.map((model) => element("li", model)));
  write(find(details, "#provider"), job.provider);
  write(find(details, "#null-db"), job.null_db === null ? "not measured" : decibels(job.null_db));
}

/** @param {string} tag @param {string} text */
function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/**
 * The players on a job's page in the admin: switch between the mix, each stem and the original at the same position.
 * With two results side by side only one plays at a time, and the other continues from its position.
 */

import { Engine } from "../audio/engine.js";
import { fetchDetection, fetchJob, fetchPeaks, pageData } from "../lib/api.js";
import { find, write } from "../lib/dom.js";
import { clock } from "../lib/format.js";
import { showInstrument } from "../songs/instrument-row.js";
import { describe, isLive } from "../songs/job-status.js";
import { waveform } from "../songs/thumbnail.js";
import { commonScale } from "../timeline/peaks.js";
import "../lib/touch.js";

/**
 * @typedef {import("../lib/api.js").Job} Job
 * @typedef {import("../lib/api.js").JobAudio} JobAudio
 */

const MIX = "mix";
const ORIGINAL = "original";
/** How often a result's progress is fetched, milliseconds. */
const POLL_INTERVAL = 1000;
/** Columns of a waveform. */
const COLUMNS = 600;

/** The player that was used last. @type {Player | null} */
let current = null;

class Player {
  /** The lane that plays. */
  #selected = MIX;
  /** Created when playback first starts, because browsers allow sound only after a click. @type {Engine | null} */
  #engine = null;

  /** @param {HTMLElement} root @param {Job} job @param {JobAudio} audio */
  constructor(root, job, audio) {
    this.root = root;
    this.job = job;
    this.audio = audio;
    this.place = /** @type {HTMLInputElement} */ (find(root, "[data-place]"));
    this.place.max = String(audio.samples / audio.rate);
    this.place.addEventListener("input", () => this.seek(Number(this.place.value)));
    find(root, "[data-play]").addEventListener("click", () => this.toggle());
    const { original_peaks_url } = audio;
    const original = original_peaks_url ? [{ url: original_peaks_url, drawing: this.#addLane(ORIGINAL) }] : [];
    if (job.stems.length > 0) this.#addLane(MIX);
    else this.#selected = ORIGINAL;
    const stems = job.stems.map(({ name, peaks_url }) => ({ url: peaks_url, drawing: this.#addLane(name) }));
    void draw([...original, ...stems]);
    this.#show();
  }

  get position() {
    return this.#engine?.position ?? Number(this.place.value);
  }

  toggle() {
    if (this.#engine?.state === "playing") this.#engine.pause();
    else this.#play();
  }

  pause() {
    this.#engine?.pause();
  }

  /** @param {number} seconds */
  seek(seconds) {
    this.place.value = String(seconds);
    this.#engine?.seek(seconds);
  }

  /** @param {string} name of a lane */
  select(name) {
    this.#selected = name;
    if (this.#engine) this.#solo(this.#engine);
    this.#play();
  }

  #play() {
    this.#engine ??= this.#makeEngine();
    const engine = this.#engine;
    if (current && current !== this) {
      current.pause();
      engine.seek(current.position);
    }
    current = this;
    void engine.play();
    this.#show();
  }

  #makeEngine() {
    const stems = this.job.stems.map(({ name, segments_url }) => ({ name, segmentsUrl: segments_url }));
    const { original_url } = this.audio;
    const engine = new Engine(stems, { ...this.audio, original: original_url ? { segmentsUrl: original_url } : null });
    engine.addEventListener("state", () => this.#show());
    engine.setAvailable(this.audio.segments_done, this.audio.original_done);
    engine.seek(Number(this.place.value));
    this.#solo(engine);
    return engine;
  }

  /** @param {Engine} engine */
  #solo(engine) {
    engine.setOriginal(this.#selected === ORIGINAL);
    for (const { name } of engine.lanes) engine.setSolo(name, name === this.#selected);
  }

  /** @param {string} name @returns {HTMLElement} container of its waveform */
  #addLane(name) {
    const lane = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.lane = name;
    button.textContent = name;
    button.addEventListener("click", () => this.select(name));
    const drawing = document.createElement("div");
    drawing.className = "wave";
    drawing.addEventListener("click", (event) => {
      const { left, width } = drawing.getBoundingClientRect();
      this.seek(((event.clientX - left) / width) * Number(this.place.max));
    });
    lane.append(button, drawing);
    find(this.root, "[data-lanes]").append(lane);
    return drawing;
  }

  /** Repeats in every frame while it plays. */
  #show() {
    const state = this.#engine?.state ?? "paused";
    const busy = state === "playing" || state === "buffering" || state === "waiting";
    const play = find(this.root, "[data-play]");
    write(play, busy ? "Pause" : "Play");
    if (this.#engine) this.place.value = String(this.#engine.position);
    this.place.ariaValueText = clock(this.position);
    write(find(this.root, "[data-clock]"), `${clock(this.position)} / ${clock(Number(this.place.max))}`);
    for (const button of this.root.querySelectorAll("[data-lane]")) {
      button.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (button).dataset.lane === this.#selected));
    }
    if (busy) requestAnimationFrame(() => this.#show());
  }
}

/**
 * Draws all waveforms on one scale, so that their heights can be compared.
 * @param {{url: string, drawing: HTMLElement}[]} lanes
 */
async function draw(lanes) {
  const peaks = await Promise.all(lanes.map(({ url }) => fetchPeaks(url))).catch(() => []); // playback does not need them
  const scale = commonScale(peaks);
  peaks.forEach((each, index) => lanes[index].drawing.replaceChildren(waveform(downsampled(each), scale)));
}

/** Reduces peaks to what can be drawn. @param {Int8Array} peaks pairs of lowest and highest @returns {Int8Array} */
function downsampled(peaks) {
  const pairs = Math.floor(peaks.length / 2);
  if (pairs <= COLUMNS) return peaks;
  const few = new Int8Array(2 * COLUMNS);
  for (let pair = 0; pair < pairs; pair++) {
    const column = Math.floor((pair * COLUMNS) / pairs);
    few[2 * column] = Math.min(few[2 * column], peaks[2 * pair]);
    few[2 * column + 1] = Math.max(few[2 * column + 1], peaks[2 * pair + 1]);
  }
  return few;
}

/** @param {HTMLElement} list @param {Job} job */
function showDetected(list, job) {
  const { detected, detection_url } = job;
  if (!detected) return;
  const template = /** @type {HTMLTemplateElement} */ (find(document, "#instrument-template"));
  const rows = Object.keys(detected.stems).map((kind) => {
    const row = find(/** @type {DocumentFragment} */ (template.content.cloneNode(true)), "li");
    write(find(row, ".name"), kind);
    showInstrument(row, kind, detected, null);
    list.append(row);
    return /** @type {[string, HTMLElement]} */ ([kind, row]);
  });
  if (!detection_url) return;
  fetchDetection(detection_url).then(
    (detection) => rows.forEach(([kind, row]) => showInstrument(row, kind, detected, detection)),
    () => undefined,
  );
}

/**
 * Shows the progress of a result that is still being separated, and reloads the page once it is finished. It polls,
 * because the event stream carries only a user's own songs.
 * @param {HTMLElement} root @param {Job} job
 */
async function follow(root, job) {
  const line = find(root, "[data-progress]");
  /** @type {Job | null} */
  let now = job;
  while (now && isLive(now)) {
    const { label, detail } = describe(now);
    write(line, `${label}. ${detail}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
    if (!document.hidden) now = await fetchJob(job.api_url).catch(() => now);
  }
  if (now) location.reload();
  else write(line, "This song was deleted by its owner.");
}

for (const root of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-result]"))) {
  /** @type {Job} */
  const job = pageData(root.dataset.result ?? "");
  if (isLive(job)) void follow(root, job);
  find(root, "[data-player]").hidden = !job.audio;
  if (job.audio) new Player(root, job, job.audio);
  showDetected(find(root, "[data-detected]"), job);
}

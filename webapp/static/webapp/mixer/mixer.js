/**
 * A song's mixer: assembles its parts and synchronises them with the engine. Only the mixer and its parts (lanes,
 * transport, toolbar, ruler, minimap) touch controls; only the engine touches sound.
 */

import { Engine } from "../audio/engine.js";
import { laneGains } from "../audio/mix-law.js";
import { fromQuery, toQuery } from "../audio/mix-query.js";
import { find } from "../lib/dom.js";
import { showInstrument } from "../songs/instrument-row.js";
import { showDraft } from "../timeline/draft-overlay.js";
import { Minimap } from "../timeline/minimap.js";
import { commonScale, energy, Peaks } from "../timeline/peaks.js";
import { Ruler } from "../timeline/ruler.js";
import { Viewport } from "../timeline/viewport.js";
import { handOver } from "./engine-handover.js";
import { Lane } from "./lane.js";
import { NowPlaying } from "./now-playing.js";
import { OriginalLane } from "./original-lane.js";
import { commandFor } from "./shortcuts.js";
import { Toolbar } from "./toolbar.js";
import { Transport } from "./transport.js";

/**
 * @typedef {import("../lib/api.js").Job} Job
 * @typedef {import("../lib/api.js").JobAudio} JobAudio
 * @typedef {import("../lib/api.js").JobStem} JobStem
 * @typedef {import("../lib/api.js").Detected} Detected
 * @typedef {import("../lib/api.js").Detection} Detection
 * @typedef {import("./mix-storage.js").MixStorage} MixStorage
 * @typedef {{engine: Engine, focused: string | undefined}} Handover what a mixer passes to its successor: the engine,
 *   still playing, and the lane with the focus
 */

/** Shortest time between two frames, milliseconds: drawing at the screen's full rate takes most of a core. */
const FRAME_INTERVAL = 30;

export class Mixer {
  /** Whether the stems are being rebuilt, so that those shown are about to be replaced. */
  #outdated = false;
  /** The mix that was saved last. */
  #savedQuery;
  /** The next animation frame; the time of the last one, milliseconds; and its position, seconds. */
  #frame = 0;
  #drawnAt = 0;
  #shownPosition = 0;
  /** Removes all listeners, when another mixer replaces this one. */
  #abort = new AbortController();

  /**
   * @param {HTMLElement & {engine?: Engine}} root gets the engine as a property, for scripts and tests
   * @param {Job} job @param {JobAudio} audio
   * @param {MixStorage} storage the initial mix @param {Handover | undefined} handover of the previous mixer
   */
  constructor(root, job, audio, storage, handover) {
    this.root = root;
    this.audio = audio;
    this.storage = storage;
    root.hidden = false; // drawings need to know their size
    const engine = engineFor(job, audio, handover?.engine);
    this.engine = engine;
    root.engine = engine;
    restoreMix(engine, storage);
    this.#savedQuery = String(toQuery(engine));
    const { duration } = engine;
    const { signal } = this.#abort;
    this.lanes = this.#addLanes(job.stems);
    this.original = audio.original_peaks_url ? this.#addOriginal(job.stems.length > 0) : null;
    this.waveforms = [...(this.original ? [this.original] : []), ...this.lanes].map(({ waveform }) => waveform);
    this.ruler = new Ruler(
      find(root, "#ruler"),
      duration,
      (seconds) => engine.seek(seconds),
      (loop) => this.tools.setLoop(loop),
    );
    this.panes = [this.ruler, ...this.waveforms];
    this.minimap = new Minimap(find(root, "#minimap"), duration, (start) => this.view.scrollTo(start), signal);
    this.view = new Viewport(this.panes, duration, (start, end) => this.#showVisible(start, end));
    this.transport = new Transport(root, engine, signal);
    this.tools = new Toolbar(root, engine, this.view, signal);
    this.nowPlaying = new NowPlaying(engine, signal);
    const urls = [audio.original_peaks_url, ...job.stems.map(({ peaks_url }) => peaks_url)].filter(
      (url) => url !== null,
    );
    this.peaks = new Peaks(urls, (peaks) => this.#showPeaks(peaks), signal);
    this.#wire();
    if (handover) this.#takeOver(handover);
    this.#showMix();
    this.#showState();
  }

  /** Whether this mixer can show the job; if not, a new mixer must be created. @param {Job} job */
  fits({ stems, audio }) {
    const same =
      stems.length === this.lanes.length && stems.every(({ name }, index) => name === this.lanes[index].name);
    return !this.#outdated && same && audio !== null && audio.segments_done >= this.audio.segments_done;
  }

  /** @param {Job} job a later state of the same song @param {JobAudio} audio */
  update(job, audio) {
    this.audio = audio;
    this.engine.setAvailable(audio.segments_done, audio.original_done, audio.draft_done);
    this.nowPlaying.describe(job);
    showDraft(this.root, job.stems, audio);
    this.peaks.update(audio);
    job.stems.forEach((stem, index) =>
      this.lanes[index].update(
        stem,
        job.merged.some(({ name }) => name === stem.name),
      ),
    );
  }

  /** The server is rebuilding the stems: what is loaded can still be played, but nothing more can be fetched. */
  markOutdated() {
    this.#outdated = true;
    this.engine.setAvailable(0);
    for (const lane of this.lanes) lane.hideFiles();
  }

  /** @param {Detected} detected @param {Detection | null} detection */
  showDetected(detected, detection) {
    for (const { root, name } of this.lanes) showInstrument(root, name, detected, detection);
  }

  /** Removes everything from the page but keeps playing. @returns {Handover} for the next mixer */
  destroy() {
    this.#abort.abort();
    const handover = { engine: this.engine, focused: this.#focusedLane()?.name };
    for (const part of [...this.lanes, this.original, this.ruler, this.minimap]) part?.destroy();
    this.root.hidden = true;
    delete this.root.engine;
    return handover;
  }

  /** @param {Handover} handover */
  #takeOver({ engine, focused }) {
    if (engine !== this.engine) handOver(engine, this.engine);
    this.lanes.find(({ name }) => name === focused)?.root.focus({ preventScroll: true });
  }

  /** @param {JobStem[]} stems */
  #addLanes(stems) {
    const { engine } = this;
    const listener = {
      onChange: engine.setLane.bind(engine),
      onMute: (/** @type {string} */ name) => this.#toggleMute(name),
      onSolo: (/** @type {string} */ name, /** @type {boolean} */ only) => this.#toggleSolo(name, only),
      onSeek: (/** @type {number} */ seconds) => engine.seek(seconds),
    };
    const place = find(this.root, "#lanes");
    return stems.map((stem, index) => new Lane(place, stem, index + 1, engine.duration, listener, this.#abort.signal));
  }

  /** @param {boolean} comparable whether there is a mix to compare the original with */
  #addOriginal(comparable) {
    const listener = {
      onToggle: () => this.#toggleOriginal(),
      onSeek: (/** @type {number} */ seconds) => this.engine.seek(seconds),
    };
    return new OriginalLane(find(this.root, "#lanes"), this.engine.duration, comparable, listener);
  }

  #wire() {
    const { engine, root } = this;
    const { signal } = this.#abort;
    engine.addEventListener("mix", () => this.#onMix(), { signal });
    engine.addEventListener("seek", () => this.#onSeek(), { signal });
    engine.addEventListener("state", () => this.#showState(), { signal });
    engine.addEventListener("sounding", () => this.#showState(), { signal });
    document.addEventListener("keydown", (event) => this.#onKey(event), { signal });
    root.addEventListener("mousedown", keepFocusOnLane, { signal });
    for (const { container } of this.panes) {
      container.addEventListener("wheel", (event) => this.view.onWheel(event, container), { signal, passive: false });
    }
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const command = commandFor(event);
    if (!command) return;
    event.preventDefault();
    if (command.name === "seek") this.engine.seek(this.engine.position + command.seconds);
    else if (command.name === "zoom") this.view.zoom(command.steps);
    else if (command.name === "mute" || command.name === "solo") this.#onLaneKey(command);
    else this.#actions[command.name]();
  }

  #actions = {
    toggle: () => this.transport.toggle(),
    stop: () => this.engine.stop(),
    start: () => this.engine.seek(0),
    original: () => this.#toggleOriginal(),
    loop: () => this.tools.toggleLoop(),
    in: () => this.tools.loopFromHere(),
    out: () => this.tools.loopToHere(),
    fit: () => this.view.fit(),
    help: () => this.tools.help(),
  };

  /** @param {import("./shortcuts.js").LaneCommand} command */
  #onLaneKey(command) {
    const lane = command.lane === "focused" ? this.#focusedLane() : this.lanes[command.lane];
    if (lane && command.name === "mute") this.#toggleMute(lane.name);
    if (lane && command.name === "solo") this.#toggleSolo(lane.name, command.only);
  }

  #focusedLane() {
    return this.lanes.find(({ root }) => root.matches(":focus-within"));
  }

  /** Switches between the mix and the original, once there is a mix. */
  #toggleOriginal() {
    if (this.original && this.lanes.length) this.engine.setOriginal(!this.engine.original);
  }

  /** @param {string} name */
  #toggleMute(name) {
    const lane = this.engine.lanes.find((each) => each.name === name);
    this.engine.setLane(name, { mute: !lane?.mute });
  }

  /** @param {string} name @param {boolean} only */
  #toggleSolo(name, only) {
    const soloed = this.engine.lanes.filter(({ solo }) => solo).map((lane) => lane.name);
    const alone = soloed.length === 1 && soloed[0] === name;
    this.engine.setSolo(name, only ? !alone : !soloed.includes(name), only);
  }

  #onMix() {
    this.#showMix();
    const query = toQuery(this.engine);
    if (String(query) === this.#savedQuery) return;
    this.#savedQuery = String(query);
    this.storage.save(
      query,
      this.lanes.map(({ name }) => name),
    );
  }

  #onSeek() {
    this.view.show(this.engine.position);
    this.#showPosition();
  }

  /**
   * Passes the visible part to the style sheet, for elements that share the time axis but are not panes.
   * @param {number} start
   * @param {number} end seconds
   */
  #showVisible(start, end) {
    const { duration } = this.engine;
    this.root.style.setProperty("--first", String(start / duration));
    this.root.style.setProperty("--share", String((end - start) / duration));
    this.minimap.showVisible(start, end);
  }

  #showMix() {
    const { lanes, loop } = this.engine;
    const gains = laneGains(lanes);
    const { sounding } = this.engine;
    this.lanes.forEach((lane, index) => lane.show(lanes[index], !lane.isIn(sounding) || gains[index] === 0));
    this.original?.show(this.engine.original, sounding === "original");
    for (const pane of [...this.panes, this.minimap.waveform]) pane.showLoop(loop);
    this.transport.showMix();
    this.tools.show();
  }

  #showState() {
    this.#showMix();
    this.transport.showState();
    this.#showPosition();
    cancelAnimationFrame(this.#frame);
    if (this.engine.state === "playing") this.#frame = requestAnimationFrame((now) => this.#animate(now));
    else for (const part of [this.transport, ...this.lanes]) part.clear();
  }

  /** @param {number} now milliseconds */
  #animate(now) {
    if (this.#abort.signal.aborted || this.engine.state !== "playing") return;
    this.#frame = requestAnimationFrame((next) => this.#animate(next));
    if (now - this.#drawnAt < FRAME_INTERVAL) return;
    this.#drawnAt = now;
    this.view.follow(this.engine.position);
    if (this.#hasVisiblyMoved()) this.#showPosition();
    const { lanes, master, reduction } = this.engine.levels();
    for (const { meter, name } of this.lanes) meter.show(lanes[name], now);
    this.transport.showLevels(master, reduction, now);
  }

  /** Whether the playhead has moved by a pixel, or the clock by a second. */
  #hasVisiblyMoved() {
    const { position } = this.engine;
    const pixels = Math.abs(position - this.#shownPosition) * this.view.scale * devicePixelRatio;
    return pixels >= 1 || Math.floor(position) !== Math.floor(this.#shownPosition);
  }

  #showPosition() {
    this.#shownPosition = this.engine.position;
    for (const pane of [...this.panes, this.minimap.waveform]) pane.setPosition(this.engine.position);
    this.transport.showPosition();
  }

  /** @param {Int8Array[]} peaks of all waveforms, in order */
  #showPeaks(peaks) {
    const scale = commonScale(peaks);
    this.waveforms.forEach((waveform, index) => waveform.setPeaks(peaks[index], scale));
    this.minimap.waveform.setPeaks(peaks[0], commonScale([peaks[0]]));
    const ofStems = peaks.slice(-this.lanes.length);
    this.engine.setEnergies(Object.fromEntries(this.lanes.map(({ name }, index) => [name, energy(ofStems[index])])));
  }
}

/**
 * An engine without stems receives its first ones; different stems need a new engine.
 * @param {Job} job
 * @param {JobAudio} audio
 * @param {Engine | undefined} last
 */
function engineFor({ stems }, audio, last) {
  const sources = stems.map((stem) => {
    return { name: stem.name, segmentsUrl: stem.segments_url, draftSegmentsUrl: stem.draft_segments_url };
  });
  const original = audio.original_url ? { segmentsUrl: audio.original_url } : null;
  if (!last || last.lanes.length > 0) return new Engine(sources, { ...audio, original });
  last.setStems(sources);
  return last;
}

/** Applies the mix of the last visit or of a link. @param {Engine} engine @param {MixStorage} storage */
function restoreMix(engine, storage) {
  const names = engine.lanes.map(({ name }) => name);
  const { lanes, masterDb, limiter, tempo, pitch, loop } = fromQuery(storage.query, names, engine.duration);
  for (const { name, ...lane } of lanes) engine.setLane(name, lane);
  engine.setMaster(masterDb);
  engine.setLimiter(limiter);
  engine.setTempo(tempo);
  engine.setPitch(pitch);
  if (loop) engine.setLoop(loop.start, loop.end);
}

/**
 * Keeps the focus on the lane when one of its buttons is clicked, so that Space continues to mean "play".
 * @param {MouseEvent} event
 */
function keepFocusOnLane(event) {
  const target = /** @type {Element} */ (event.target);
  if (target.closest("input, a")) return;
  event.preventDefault();
  /** @type {HTMLElement | null} */ (target.closest(".lane"))?.focus({ preventScroll: true });
}

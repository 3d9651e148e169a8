/** The mixer's controls: the only file that touches them. What they do to the sound is the engine's business. */

import { find, write } from "./card.js";
import { Engine } from "./engine.js";
import { showFader, showMeter, wireFader } from "./fader.js";
import { laneGains } from "./gain.js";
import { showInstrument } from "./instrument.js";
import { fetchPeaks } from "./jobs.js";
import { command } from "./keyboard.js";
import { clock } from "./status.js";
import { Waveform, commonScale } from "./waveform.js";

/**
 * @typedef {import("./jobs.js").Job} Job
 * @typedef {import("./jobs.js").JobAudio} JobAudio
 * @typedef {import("./jobs.js").JobStem} JobStem
 * @typedef {import("./jobs.js").Heard} Heard
 * @typedef {import("./jobs.js").Detection} Detection
 * @typedef {import("./gain.js").Lane} Lane
 * @typedef {{root: HTMLElement, name: string, peaksUrl: string, waveform: Waveform}} LaneView
 * @typedef {object} Mixing what a person has done at a mixer
 * @property {number} position seconds
 * @property {boolean} going
 * @property {number} masterDb
 * @property {readonly Readonly<Lane>[]} lanes
 * @property {string | undefined} focused lane with the focus
 */

/** What a lane's name alone does not tell. @type {Record<string, string>} */
const HINTS = {
  residual: "What was taken out of the other lanes because it belongs to none of them alone. All lanes together are your song.",
};
/** Waveforms are fetched anew when this much more of the song is there, so that long songs are not fetched over and over. */
const PEAKS_GROWTH = 1.05;
const PEAKS_RETRY = 5000;

/** What the transport says of a state that is not heard or seen anyway. */
const STATES = { paused: "", playing: "", ended: "", buffering: "Loading…", waiting: "Waiting for the separation…" };
/** States that go on by themselves. */
const GOING = ["playing", "buffering", "waiting"];

export class Mixer {
  #peaksShown = 0;
  #peaksLoading = false;
  /** Whether the stems are being put together anew, so that those shown are about to be replaced. */
  #outdated = false;
  /** Ends all listening; true in `aborted` once this mixer has given way to another. */
  #end = new AbortController();

  /**
   * @param {HTMLElement & {engine?: Engine}} root gets the engine as a property, for scripts and tests
   * @param {Job} job @param {JobAudio} audio
   * @param {Mixing | undefined} mixing what was done at the mixer before this one
   */
  constructor(root, job, audio, mixing) {
    this.root = root;
    this.audio = audio;
    this.engine = new Engine(job.stems.map(({ name, segments_url }) => ({ name, segmentsUrl: segments_url })), audio);
    root.engine = this.engine;
    root.hidden = false;
    this.position = /** @type {HTMLInputElement} */ (find(root, "#position"));
    this.lanes = job.stems.map((stem, index) => this.#addLane(stem, index));
    this.#wireTransport();
    this.#wireEngine();
    this.#listen(document, "keydown", (event) => this.#onKey(/** @type {KeyboardEvent} */ (event)));
    this.#listen(root, "mousedown", (event) => keepFocusOnLane(/** @type {MouseEvent} */ (event)));
    if (mixing) this.#resume(mixing);
    this.#showMix();
    this.#showState();
  }

  /** Whether it can show this state of the song; if not, another mixer has to. @param {Job} job */
  fits({ stems, audio }) {
    const same = stems.length === this.lanes.length && stems.every(({ name }, index) => name === this.lanes[index].name);
    return !this.#outdated && same && audio !== null && audio.segments_done >= this.audio.segments_done;
  }

  /** @param {Job} job the same song, further on @param {JobAudio} audio */
  update(job, audio) {
    this.audio = audio;
    this.engine.setAvailable(audio.segments_done);
    const separated = Math.min(1, (audio.segments_done * audio.segment) / audio.samples);
    this.root.style.setProperty("--separated", `${separated * 100}%`);
    void this.#refreshPeaks();
    job.stems.forEach((stem) => this.#showDownload(stem));
  }

  /** The server makes the stems anew: what is loaded can still be heard, nothing else can be had. */
  wait() {
    this.#outdated = true;
    this.engine.setAvailable(0);
    for (const { root } of this.lanes) find(root, ".download").hidden = true;
  }

  /** @param {Heard} heard @param {Detection | null} detection */
  showHeard(heard, detection) {
    for (const { root, name } of this.lanes) showInstrument(root, name, heard, detection);
  }

  /** Leaves the page as it was before. @returns {Mixing} for the mixer that follows */
  destroy() {
    const { position, masterDb, lanes, state } = this.engine;
    const mixing = { position, going: GOING.includes(state), masterDb, lanes, focused: this.#focusedLane()?.name };
    this.#end.abort();
    void this.engine.close();
    for (const { root, waveform } of this.lanes) {
      waveform.destroy();
      root.remove();
    }
    this.root.hidden = true;
    delete this.root.engine;
    return mixing;
  }

  /** @param {Mixing} mixing */
  #resume({ position, going, masterDb, lanes, focused }) {
    for (const { name, db, mute, solo } of lanes) this.engine.setLane(name, { db, mute, solo });
    this.engine.setMaster(masterDb);
    this.engine.seek(position);
    if (going) void this.engine.play();
    this.lanes.find(({ name }) => name === focused)?.root.focus({ preventScroll: true });
  }

  /** @param {EventTarget} target @param {string} type @param {(event: Event) => void} onEvent */
  #listen(target, type, onEvent) {
    target.addEventListener(type, onEvent, { signal: this.#end.signal });
  }

  /** @param {JobStem} stem @param {number} index @returns {LaneView} */
  #addLane(stem, index) {
    const template = /** @type {HTMLTemplateElement} */ (find(document, "#lane-template"));
    const root = /** @type {HTMLElement} */ (find(/** @type {DocumentFragment} */ (template.content.cloneNode(true)), ".lane"));
    root.dataset.stem = stem.name;
    root.ariaLabel = stem.name;
    write(find(root, ".name"), stem.name);
    find(root, ".name").title = HINTS[stem.name] ?? "";
    find(this.root, "#lanes").append(root);
    for (const control of root.querySelectorAll("[data-says]")) {
      control.ariaLabel = `${control.getAttribute("data-says")} ${stem.name}`;
    }
    find(root, ".mute").title = `Mute (${index + 1})`;
    find(root, ".solo").title = `Solo (Shift+${index + 1}); with Ctrl or Shift held, this one alone`;
    this.#wireLane(root, stem.name);
    return { root, name: stem.name, peaksUrl: stem.peaks_url, waveform: this.#waveform(root, index === 0) };
  }

  /** @param {HTMLElement} lane @param {boolean} first */
  #waveform(lane, first) {
    const container = find(lane, ".waveform");
    return new Waveform(container, {
      duration: this.engine.duration,
      height: container.clientHeight,
      ruler: first ? find(this.root, "#ruler") : null,
      onSeek: (seconds) => this.engine.seek(seconds),
    });
  }

  /** @param {HTMLElement} lane @param {string} name */
  #wireLane(lane, name) {
    find(lane, ".mute").addEventListener("click", () => this.#toggleMute(name));
    find(lane, ".solo").addEventListener("click", (event) => {
      this.#toggleSolo(name, event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    });
    wireFader(find(lane, ".fader"), (db) => this.engine.setLane(name, { db }), this.#end.signal);
  }

  #wireTransport() {
    this.#listen(find(this.root, "#play"), "click", () => this.#toggle());
    this.#listen(find(this.root, "#start"), "click", () => this.engine.seek(0));
    wireFader(find(this.root, "#master"), (db) => this.engine.setMaster(db), this.#end.signal);
    this.position.max = String(this.engine.duration);
    write(find(this.root, "#length"), clock(this.engine.duration));
    this.#listen(this.position, "change", () => this.engine.seek(Number(this.position.value)));
  }

  #wireEngine() {
    this.#listen(this.engine, "mix", () => this.#showMix());
    this.#listen(this.engine, "seek", () => this.#showPosition());
    this.#listen(this.engine, "state", () => this.#showState());
    this.#listen(this.engine, "problem", (event) => {
      const failed = /** @type {CustomEvent<Error | null>} */ (event).detail !== null;
      find(this.root, "#problem").hidden = !failed;
    });
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const asked = command(event);
    if (!asked) return;
    event.preventDefault();
    if (asked.name === "toggle") this.#toggle();
    else if (asked.name === "stop") this.engine.stop();
    else if (asked.name === "start") this.engine.seek(0);
    else if (asked.name === "seek") this.engine.seek(this.engine.position + asked.seconds);
    else {
      const lane = asked.lane === "focused" ? this.#focusedLane() : this.lanes[asked.lane];
      if (lane && asked.name === "mute") this.#toggleMute(lane.name);
      if (lane && asked.name === "solo") this.#toggleSolo(lane.name, asked.only);
    }
  }

  #focusedLane() {
    return this.lanes.find(({ root }) => root.matches(":focus-within"));
  }

  #toggle() {
    if (GOING.includes(this.engine.state)) this.engine.pause();
    else void this.engine.play();
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

  #showMix() {
    const gains = laneGains(this.engine.lanes);
    this.engine.lanes.forEach(({ db, mute, solo }, index) => {
      const { root } = this.lanes[index];
      find(root, ".mute").ariaPressed = String(mute);
      find(root, ".solo").ariaPressed = String(solo);
      root.classList.toggle("silent", gains[index] === 0);
      showFader(find(root, ".fader"), db);
    });
    showFader(find(this.root, "#master"), this.engine.masterDb);
  }

  #showState() {
    const { state } = this.engine;
    this.root.dataset.playback = state;
    find(this.root, "#play").ariaLabel = GOING.includes(state) ? "Pause" : "Play";
    write(find(this.root, "#playback"), STATES[state]);
    this.#showPosition();
    if (state === "playing") requestAnimationFrame(() => this.#animate());
    else this.#showLevels({});
  }

  #animate() {
    if (this.#end.signal.aborted || this.engine.state !== "playing") return;
    this.#showPosition();
    const { lanes, master } = this.engine.levels();
    const levels = Object.entries({ ...lanes, master }).map(([name, { rms }]) => [name, rms]);
    this.#showLevels(Object.fromEntries(levels));
    requestAnimationFrame(() => this.#animate());
  }

  #showPosition() {
    const { position, duration } = this.engine;
    for (const { waveform } of this.lanes) waveform.setPosition(position);
    write(find(this.root, "#time"), clock(position));
    if (!this.position.matches(":active")) this.position.value = String(position);
    this.position.style.setProperty("--travel", `${(100 * position) / duration}%`);
    const text = `${clock(position)} of ${clock(duration)}`;
    if (this.position.ariaValueText !== text) this.position.ariaValueText = text;
  }

  /** @param {Record<string, number>} levels by lane's name, and "master"; silent where missing */
  #showLevels(levels) {
    for (const { root, name } of this.lanes) showMeter(root, levels[name] ?? 0);
    showMeter(find(this.root, ".master"), levels.master ?? 0);
  }

  async #refreshPeaks() {
    const done = this.audio.segments_done;
    const complete = done * this.audio.segment >= this.audio.samples;
    const due = complete ? done > this.#peaksShown : done >= Math.max(this.#peaksShown + 1, this.#peaksShown * PEAKS_GROWTH);
    if (!due || this.#peaksLoading || this.#outdated || this.#end.signal.aborted) return;
    this.#peaksLoading = true;
    try {
      const peaks = await Promise.all(this.lanes.map(({ peaksUrl }) => fetchPeaks(peaksUrl)));
      if (this.#end.signal.aborted || this.#outdated) return;
      const scale = commonScale(peaks);
      this.lanes.forEach(({ waveform }, index) => waveform.setPeaks(peaks[index], scale));
      this.#peaksShown = done;
    } catch {
      setTimeout(() => this.#refreshPeaks(), PEAKS_RETRY); // the sound does not need them; they come when they can
    }
    this.#peaksLoading = false;
  }

  /** @param {JobStem} stem */
  #showDownload({ name, download_url }) {
    const lane = this.lanes.find((each) => each.name === name);
    if (!lane) return;
    const link = /** @type {HTMLAnchorElement} */ (find(lane.root, ".download"));
    link.hidden = download_url === null;
    if (download_url) link.href = download_url;
  }
}

/** A mouse click on a button leaves the focus on its lane, so that Space goes on to mean "play". @param {MouseEvent} event */
function keepFocusOnLane(event) {
  const target = /** @type {Element} */ (event.target);
  if (target.closest("input, a")) return;
  event.preventDefault();
  /** @type {HTMLElement | null} */ (target.closest(".lane"))?.focus({ preventScroll: true });
}

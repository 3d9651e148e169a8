/** Media session: the system shows and controls playback on the lock screen, a headset or with media keys. */

import { isGoing } from "./transport.js";

/**
 * Systems recognise only media elements that play for more than five seconds, and the mixer uses none; silence stands
 * in.
 */
const SILENCE = new URL("./silence.flac", import.meta.url).href;
const SEEK_SECONDS = 10;

/** @typedef {import("../audio/engine.js").Engine} Engine */

export class NowPlaying {
  #session = navigator.mediaSession;
  #silence = new Audio(SILENCE);

  /** @param {Engine} engine @param {AbortSignal} signal removes the listeners */
  constructor(engine, signal) {
    this.engine = engine;
    if (!this.#session) return;
    this.#silence.loop = true;
    for (const type of ["state", "seek", "mix"]) engine.addEventListener(type, () => this.#show(), { signal });
    this.#silence.addEventListener("timeupdate", () => this.#showPosition(), { signal }); // loops jump back without an event
    // The system pauses for a call, or when the headset is unplugged.
    this.#silence.addEventListener("pause", () => this.#silence.paused && isGoing(engine) && engine.pause(), {
      signal,
    });
    for (const [action, handler] of Object.entries(this.#actions)) {
      this.#session.setActionHandler(/** @type {MediaSessionAction} */ (action), handler);
    }
    signal.addEventListener("abort", () => this.#end());
    this.#show();
  }

  /** @param {{title: string, artist?: string, cover_url: string | null}} song */
  describe({ title, artist, cover_url }) {
    if (!this.#session) return;
    const artwork = cover_url ? [{ src: new URL(cover_url, location.href).href }] : [];
    this.#session.metadata = new MediaMetadata({ title, artist: artist ?? "", artwork });
  }

  /** @type {Record<string, MediaSessionActionHandler>} */
  #actions = {
    play: () => void this.engine.play(),
    pause: () => this.engine.pause(),
    stop: () => this.engine.stop(),
    seekto: ({ seekTime }) => this.engine.seek(seekTime ?? 0),
    seekbackward: ({ seekOffset }) => this.engine.seek(this.engine.position - (seekOffset ?? SEEK_SECONDS)),
    seekforward: ({ seekOffset }) => this.engine.seek(this.engine.position + (seekOffset ?? SEEK_SECONDS)),
  };

  #show() {
    const going = isGoing(this.engine);
    this.#session.playbackState = going ? "playing" : "paused";
    if (!going) this.#silence.pause();
    else if (this.#silence.paused) this.#silence.play().catch(() => undefined); // not allowed: the system shows nothing
    this.#showPosition();
  }

  #showPosition() {
    const { duration, position, tempo } = this.engine;
    this.#session.setPositionState({ duration, playbackRate: tempo, position: Math.min(position, duration) });
  }

  #end() {
    for (const action of Object.keys(this.#actions)) {
      this.#session.setActionHandler(/** @type {MediaSessionAction} */ (action), null);
    }
    this.#session.metadata = null;
    this.#session.playbackState = "none";
    this.#silence.pause();
  }
}

/** Hands playback over from one engine to the next without a gap, for example when stems were reselected. */

import { isGoing } from "./transport.js";

/** @typedef {import("../audio/engine.js").Engine} Engine */

/** Time for the fade-out to finish, milliseconds. */
const FADE = 100;

/**
 * The old engine plays until the new one has loaded what follows, and the new one continues from there.
 * @param {Engine} old
 * @param {Engine} next
 */
export function handOver(old, next) {
  next.seek(old.position);
  if (!isGoing(old)) return void old.close();
  const onState = () => {
    if (isGoing(next) && next.state !== "playing") return; // still loading
    next.removeEventListener("state", onState);
    if (next.state === "playing") next.seek(old.position); // its first frames are not audible yet
    old.pause();
    setTimeout(() => old.close(), FADE);
  };
  next.addEventListener("state", onState);
  void next.play();
}

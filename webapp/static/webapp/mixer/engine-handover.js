/** From one engine to the next while the music plays, as when other stems were chosen. */

import { isGoing } from "./transport.js";

/** @typedef {import("../audio/engine.js").Engine} Engine */

/** What fades out is heard to its end, milliseconds. */
const FADE = 100;

/** The old engine plays until the new one has loaded what comes; then that goes on from there. @param {Engine} old @param {Engine} next */
export function handOver(old, next) {
  next.seek(old.position);
  if (!isGoing(old)) return void old.close();
  const onState = () => {
    if (isGoing(next) && next.state !== "playing") return; // still loading
    next.removeEventListener("state", onState);
    if (next.state === "playing") next.seek(old.position); // what it has begun with is not heard yet
    old.pause();
    setTimeout(() => old.close(), FADE);
  };
  next.addEventListener("state", onState);
  void next.play();
}

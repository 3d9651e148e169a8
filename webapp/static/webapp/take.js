/** What people take along: every stem in one archive, or the mix exactly as it is heard. */

import { find } from "./card.js";

/**
 * @typedef {import("./jobs.js").Job} Job
 * @typedef {import("./gain.js").Lane} Lane
 * @typedef {{lanes: readonly Readonly<Lane>[], masterDb: number}} Mixing
 */

export class Take {
  /** @param {HTMLElement} root @param {() => Mixing | undefined} mixing what is heard now */
  constructor(root, mixing) {
    this.root = root;
    this.mixUrl = "";
    const link = /** @type {HTMLAnchorElement} */ (find(root, "#take-mix"));
    const coding = /** @type {HTMLSelectElement} */ (find(root, "#take-coding"));
    // Set while the click is on its way, so that the link always means what is heard at that moment.
    link.addEventListener("click", () => {
      const heard = mixing();
      if (heard) link.href = `${this.mixUrl}?${mixQuery(heard)}&${coding.value}`;
    });
  }

  /** @param {Job} job */
  update({ zip_url, mix_url }) {
    this.root.hidden = !zip_url || !mix_url;
    if (!zip_url || !mix_url) return;
    /** @type {HTMLAnchorElement} */ (find(this.root, "#take-all")).href = zip_url;
    /** @type {HTMLAnchorElement} */ (find(this.root, "#take-mix")).href = this.mixUrl = mix_url;
  }
}

/**
 * A mix as the server takes it.
 * @param {Mixing} mixing @returns {URLSearchParams}
 */
export function mixQuery({ lanes, masterDb }) {
  const query = new URLSearchParams();
  for (const { name, db, mute, solo } of lanes) {
    query.append(name, String(db));
    if (mute) query.append("mute", name);
    if (solo) query.append("solo", name);
  }
  query.append("master", String(masterDb));
  return query;
}

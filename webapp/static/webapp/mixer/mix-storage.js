/** What a person did at a song's mixer, kept for the next visit. A link that says how to mix comes first. */

import { ofOtherLanes } from "../audio/mix-query.js";

export class MixStorage {
  /** Called after each change. */
  onChange = () => {};

  /** @param {string} id of the job */
  constructor(id) {
    this.key = `soundscape.mix.${id}`;
    this.query = new URLSearchParams(mixInAddress() ?? storedMix(this.key));
  }

  /** From now on the link is not what is heard, so it is taken out of the address. @param {URLSearchParams} query @param {readonly string[]} names of its lanes; others stay as they were */
  save(query, names) {
    this.query = new URLSearchParams([...query, ...ofOtherLanes(this.query, names)]);
    if (mixInAddress() !== null) history.replaceState(null, "", location.pathname + location.search);
    try {
      localStorage.setItem(this.key, String(this.query));
    } catch {
      // Forbidden or full: it is remembered until the page is left.
    }
    this.onChange();
  }
}

/** @param {URLSearchParams} query @returns {string} address of this page with that mix */
export function linkTo(query) {
  return `${location.origin}${location.pathname}#${query}`;
}

/** @returns {string | null} the mix in the address; other marks, such as "#main", are none */
function mixInAddress() {
  const mark = location.hash.slice(1);
  return mark.includes("=") ? mark : null;
}

/** @param {string} key @returns {string} "" if nothing is remembered */
function storedMix(key) {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

/** Stores a song's mix in the browser for the next visit. A mix in the page's address takes precedence. */

import { ofOtherLanes } from "../audio/mix-query.js";

export class MixStorage {
  /** Called after each change. */
  onChange = () => {};

  /** @param {string} id of the job */
  constructor(id) {
    this.key = `soundscape.mix.${id}`;
    this.query = new URLSearchParams(mixInAddress() ?? storedMix(this.key));
  }

  /**
   * Saves the mix and removes the outdated one from the address.
   * @param {URLSearchParams} query
   * @param {readonly string[]} names of its lanes; values of other lanes are kept
   */
  save(query, names) {
    this.query = new URLSearchParams([...query, ...ofOtherLanes(this.query, names)]);
    if (mixInAddress() !== null) history.replaceState(null, "", location.pathname + location.search);
    try {
      localStorage.setItem(this.key, String(this.query));
    } catch {
      // Storage is blocked or full: the mix lasts until the page is left.
    }
    this.onChange();
  }
}

/** @param {URLSearchParams} query @returns {string} URL of this page with that mix */
export function linkTo(query) {
  return `${location.origin}${location.pathname}#${query}`;
}

/** @returns {string | null} the mix in the address; other fragments, such as "#main", are ignored */
function mixInAddress() {
  const mark = location.hash.slice(1);
  return mark.includes("=") ? mark : null;
}

/** @param {string} key @returns {string} "" if nothing is stored */
function storedMix(key) {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

/**
 * Requests to the server.
 * Every failure is an Error whose message can be shown to people as it is.
 */

import { share } from "./job-events.js";

/**
 * @typedef {object} JobStem
 * @property {string} name
 * @property {string} peaks_url
 * @property {string} segments_url
 * @property {string | null} draft_segments_url null without a draft, or if the draft has this stem in `other`
 * @property {string} spectrogram_url available once the job is done
 * @property {string | null} download_url null until the job is done
 *
 * @typedef {object} JobAudio
 * @property {number} rate
 * @property {number} samples
 * @property {number} segment
 * @property {number} segments_done
 * @property {number} draft_done segments that can be played as a draft until they are separated
 * @property {number} gain
 * @property {number} original_done segments of the original
 * @property {string | null} original_url of the original's segments; null for songs whose original was not kept
 * @property {string | null} original_peaks_url
 *
 * @typedef {object} SpectrogramData
 * @property {number} columns over the whole song
 * @property {number} bands per column, lowest first
 * @property {Uint8Array} levels column by column, from 0 (-90 dB or less) to 255 (full scale)
 *
 * @typedef {object} ExportJob a file that the server writes
 * @property {string} url
 * @property {"queued" | "running" | "done" | "failed"} state
 * @property {number} progress 0 to 1
 * @property {string} error
 * @property {string | null} file_url
 * @property {string} filename
 * @property {number | null} size bytes
 *
 * @typedef {object} JobModel
 * @property {string} name
 * @property {string} licence
 * @property {string} [origin]
 *
 * @typedef {"present" | "uncertain" | "absent"} Presence
 * @typedef {"vocals" | "drums" | "bass" | "guitar" | "piano" | "other" | "strings" | "winds" | "synth"} Kind
 *   instruments that the detector knows
 * @typedef {{probability: number, presence: Presence}} Evidence probability: 0 to 1
 * @typedef {"mixture" | "confirmed"} Stage detected in the mix, or confirmed by the separated stems
 *
 * @typedef {object} Detected
 * @property {Stage} stage
 * @property {Record<string, Evidence>} stems by kind, in display order
 *
 * @typedef {object} Whereabouts
 * @property {number[]} timeline probability for each second
 * @property {[number, number][]} spans passages that count as detected: start and stop, seconds
 *
 * @typedef {object} Detection
 * @property {number} seconds
 * @property {Stage} stage
 * @property {Record<string, Evidence & Whereabouts>} stems by kind
 *
 * @typedef {object} Merged a stem that was merged into `other`
 * @property {string} name
 * @property {Presence | ""} presence
 * @property {boolean} offered whether the evidence suggests that the song contains it after all
 * @property {boolean} empty whether its separation turned out silent
 *
 * @typedef {object} Job
 * @property {string} id
 * @property {string} url
 * @property {string} title
 * @property {string} artist
 * @property {string} filename
 * @property {"queued" | "running" | "done" | "failed" | "cancelled"} state
 * @property {string[]} actions that are possible now
 * @property {string} notice
 * @property {"" | "decode" | "listen" | "draft" | "separate" | "confirm" | "encode"} stage
 * @property {number | null} stage_progress 0 to 1
 * @property {number} progress of the whole separation, 0 to 1
 * @property {number} blocks_done
 * @property {number} blocks_total
 * @property {number | null} seconds_left
 * @property {number | null} position
 * @property {string} error
 * @property {string[]} warnings
 * @property {number | null} duration
 * @property {string} created_at
 * @property {string} format
 * @property {number | null} null_db
 * @property {Record<string, {level_db: number, peak_db: number, clipped: number, bleed_db: number | null}>} quality by
 *   file
 * @property {JobModel[]} models
 * @property {string} provider
 * @property {string[]} stems_asked empty: chosen automatically
 * @property {string[]} choices stems that can be selected
 * @property {string[]} experimental those of them that are separated only if selected
 * @property {Merged[]} merged
 * @property {Detected | null} detected
 * @property {string | null} detection_url
 * @property {string} stems_url
 * @property {string | null} zip_url all stems in one archive; null until they are finished
 * @property {string | null} mix_url renders the mix that a query describes
 * @property {string} exports_url where exports are requested
 * @property {string} events_url
 * @property {string} cancel_url
 * @property {string} retry_url
 * @property {string} restore_url of a deleted job
 * @property {string} api_url
 * @property {string | null} thumbnail_url peaks of the whole song
 * @property {string | null} cover_url picture embedded in the song's file
 * @property {JobAudio | null} audio
 * @property {JobStem[]} stems
 */

const UNREACHABLE = "The server cannot be reached. Check your connection and try again.";

/** Jobs per page: the server's maximum. */
const PAGE = 200;

/** @param {string} id of a json_script element @returns {any} */
export function pageData(id) {
  return JSON.parse(document.getElementById(id)?.textContent ?? "null");
}

/** Read for each request, because it changes when a visitor gets an account. @returns {string} */
const csrfToken = () => /(?:^|; )csrftoken=([^;]*)/.exec(document.cookie)?.[1] ?? "";

/**
 * @param {string} method
 * @param {string} url
 * @param {object} [data] sent as JSON, or as a form if it is a query
 * @returns {Promise<any>}
 */
async function request(method, url, data) {
  const form = data instanceof URLSearchParams;
  const type = data && !form && { "Content-Type": "application/json" };
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken(), ...type };
  const response = await fetch(url, { method, headers, body: form ? data : data && JSON.stringify(data) }).catch(() => {
    throw new Error(UNREACHABLE);
  });
  const text = await response.text();
  if (!response.ok) throw new ApiError(response.status, text);
  return text ? JSON.parse(text) : null;
}

/** Fetches all jobs, page by page. @param {string} url @returns {Promise<Job[]>} */
export async function listJobs(url) {
  const jobs = [];
  /** @type {string | null} */
  let next = `${url}?page_size=${PAGE}`;
  while (next) {
    const page = await request("GET", next);
    jobs.push(...page.results);
    next = page.next;
  }
  return jobs;
}

/** @param {string} url @returns {Promise<Job | null>} null: it was deleted or is no longer ours */
export async function fetchJob(url) {
  return request("GET", url).catch((error) => {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  });
}

/** @param {string} url @returns {Promise<Job>} */
export const startDemo = (url) => request("POST", url);
/** @param {Job} job @returns {Promise<Job>} */
export const cancelJob = (job) => changed(request("POST", job.cancel_url));
/** @param {Job} job @returns {Promise<Job>} */
export const retryJob = (job) => changed(request("POST", job.retry_url));
/** @param {Job} job @param {string[]} stems empty: choose automatically @returns {Promise<Job>} */
export const reselectStems = (job, stems) => changed(request("POST", job.stems_url, { stems }));
/** @param {string} url @returns {Promise<Detection>} */
export const fetchDetection = (url) => request("GET", url);
/** @param {Job} job @param {string} title @returns {Promise<Job>} */
export const renameJob = (job, title) => changed(request("PATCH", job.api_url, { title }));
/** @param {Job} job @returns {Promise<void>} */
export const deleteJob = (job) => request("DELETE", job.api_url).then(() => share({ deleted: job.id }));
/** @param {Job} job deleted at most a few minutes ago @returns {Promise<Job>} */
export const restoreJob = (job) => changed(request("POST", job.restore_url));

/** Informs the browser's other pages, which do not poll finished jobs. @param {Promise<Job>} answer */
async function changed(answer) {
  const job = await answer;
  share({ job });
  return job;
}

/** @param {string} url @param {URLSearchParams} order @returns {Promise<ExportJob>} */
export const startExport = (url, order) => request("POST", url, order);
/** @param {string} url @returns {Promise<ExportJob[]>} newest first */
export const fetchExports = (url) => request("GET", url);
/** @param {string} url @returns {Promise<ExportJob>} */
export const fetchExport = (url) => request("GET", url);
/** Cancels the export if it is still running. @param {string} url @returns {Promise<null>} */
export const removeExport = (url) => request("DELETE", url);

/** @param {string} url @returns {Promise<SpectrogramData>} */
export async function fetchSpectrogram(url) {
  const response = await fetch(url).catch(() => {
    throw new Error(UNREACHABLE);
  });
  if (!response.ok) throw new Error(errorMessage(response.status, await response.text()));
  const [columns, bands] = ["X-Columns", "X-Bands"].map((name) => Number(response.headers.get(name)));
  return { columns, bands, levels: new Uint8Array(await response.arrayBuffer()) };
}

/** Pairs of signed bytes (lowest, highest), 100 a second. @param {string} url @returns {Promise<Int8Array>} */
export async function fetchPeaks(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(errorMessage(response.status, ""));
  return new Int8Array(await response.arrayBuffer());
}

/**
 * Uploads a song. Uses XMLHttpRequest, because fetch does not report upload progress.
 * @param {string} url
 * @param {File} file
 * @param {HTMLFormElement | undefined} options form with the upload's options
 * @param {(fraction: number) => void} onProgress fraction that has been sent, 0 to 1
 * @param {AbortSignal} signal aborts the upload, which rejects with an AbortError
 * @returns {Promise<Job>}
 */
export function upload(url, file, options, onProgress, signal) {
  const body = new FormData(options);
  body.append("file", file);
  const xhr = new XMLHttpRequest();
  signal.addEventListener("abort", () => xhr.abort());
  return new Promise((resolve, reject) => {
    xhr.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    xhr.onload = () => {
      if (xhr.status < 300) resolve(JSON.parse(xhr.responseText));
      else reject(new ApiError(xhr.status, xhr.responseText));
    };
    xhr.onerror = () => reject(new Error(UNREACHABLE));
    xhr.onabort = () => reject(new DOMException("The upload was cancelled.", "AbortError"));
    xhr.open("POST", url);
    xhr.setRequestHeader("Accept", "application/json");
    xhr.setRequestHeader("X-CSRFToken", csrfToken());
    xhr.send(body);
  });
}

/** What the server refused, with the status of its answer. */
export class ApiError extends Error {
  /** @param {number} status @param {string} text of the response */
  constructor(status, text) {
    super(errorMessage(status, text));
    this.status = status;
  }
}

/**
 * The detail of the server's problem document (RFC 9457), or else a sentence for its status.
 * @param {number} status @param {string} text @returns {string}
 */
function errorMessage(status, text) {
  const problem = detail(text);
  if (problem) return problem;
  if (status === 413) return "This file is larger than the server accepts.";
  if (status === 404) return "This song is no longer here. Reload the page.";
  if (status === 401 || status === 403) return "You are no longer logged in. Reload the page and try again.";
  return `The server could not complete the request (error ${status}). Try again in a moment.`;
}

/** @param {string} text @returns {string} "" unless it is a problem document */
function detail(text) {
  try {
    return JSON.parse(text).detail ?? "";
  } catch {
    return "";
  }
}

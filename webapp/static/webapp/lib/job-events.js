/**
 * Events about a user's songs, shared by all pages of a browser over a single event stream. A stream occupies a
 * connection for as long as it lasts, and browsers allow only six per site over HTTP/1.1.
 *
 * One visible page holds a lease in localStorage, listens to the server and forwards events over a BroadcastChannel. If
 * it is closed, hidden or stuck, it releases the lease or lets it expire, and another page acquires it. (Web Locks
 * would do the same, but need a secure context, which self-hosted sites often lack.) A hidden page opens no stream: it
 * polls while something is in progress, and once when it becomes visible again.
 */

/**
 * @typedef {import("./api.js").Job} Job
 * @typedef {{job: Job} | {deleted: string} | {connected: boolean}} Message
 * @typedef {object} Page
 * @property {() => boolean} isLive whether what it shows can change without user input
 * @property {() => Promise<void>} catchUp fetches and shows the current state
 * @property {(job: Job) => void} onJob
 * @property {(id: string) => void} onDeleted
 * @property {(connected: boolean) => void} onConnection
 */

/** How often the lease is checked, milliseconds. */
const CHECK_INTERVAL = 500;
/** How long a lease is valid, milliseconds: long enough to survive a page that is briefly busy. */
const LEASE_DURATION = 3000;
/** How often a hidden page polls, milliseconds. */
const POLL_INTERVAL = 5000;
/**
 * Delays before a rejected stream is reopened, for example while the server restarts, milliseconds; the last repeats.
 */
const RECONNECT_DELAYS = [1000, 2000, 5000, 10000];

/** Shared by the pages of one account in this browser. */
const CHANNEL_NAME = `soundscape.events.${document.body.dataset.account ?? ""}`;
const channel = new BroadcastChannel(CHANNEL_NAME);

/** Sends a message to the browser's other pages. @param {Message} message */
export function share(message) {
  channel.postMessage(message);
}

export class JobEvents {
  #id = Math.random().toString(36).slice(2);
  /** @type {EventSource | null} */
  #source = null;
  #failures = 0;
  #retryAt = 0;
  /** Whether another page listens and this page has caught up with it. */
  #following = false;
  #polledAt = 0;
  /** Messages that arrive while the page catches up, delivered afterwards. @type {Message[] | null} */
  #queue = null;

  /** @param {string} url of the stream @param {Page} page */
  constructor(url, page) {
    this.url = url;
    this.page = page;
    channel.addEventListener("message", ({ data }) => this.#receive(data));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) void this.#catchUp();
      this.#checkLease();
    });
    window.addEventListener("pagehide", () => this.#release());
    setInterval(() => this.#checkLease(), CHECK_INTERVAL);
    this.#checkLease();
  }

  /**
   * A page listens only from its second check on: if several pages acquire the lease at once, the last one still has it
   * then.
   */
  #checkLease() {
    if (document.hidden || !this.page.isLive()) {
      this.#release();
      if (this.page.isLive() && performance.now() - this.#polledAt > POLL_INTERVAL) void this.#catchUp();
      return;
    }
    const { holder, until } = readLease();
    const now = Date.now();
    const good = until > now && until <= now + LEASE_DURATION; // the clock may have been set back
    if (good && holder !== this.#id) return this.#follow();
    localStorage.setItem(CHANNEL_NAME, JSON.stringify({ holder: this.#id, until: now + LEASE_DURATION }));
    if (good) this.#listen();
  }

  #follow() {
    this.#close();
    if (!this.#following) void this.#catchUp();
    this.#following = true;
  }

  /** Browsers reconnect a stream that broke, but give up on one that was rejected. */
  #listen() {
    if (this.#source || performance.now() < this.#retryAt) return;
    this.#following = false;
    const source = new EventSource(this.url);
    this.#source = source;
    source.addEventListener("job", (event) => this.#publish({ job: JSON.parse(event.data) }));
    source.addEventListener("deleted", (event) => this.#publish({ deleted: JSON.parse(event.data).id }));
    source.onopen = () => {
      this.#failures = 0;
      this.#publish({ connected: true });
    };
    source.onerror = () => {
      this.#publish({ connected: false });
      if (source.readyState !== EventSource.CLOSED) return;
      this.#source = null;
      this.#retryAt = performance.now() + RECONNECT_DELAYS[Math.min(this.#failures, RECONNECT_DELAYS.length - 1)];
      this.#failures += 1;
    };
  }

  #release() {
    this.#close();
    this.#following = false;
    if (readLease().holder === this.#id) localStorage.removeItem(CHANNEL_NAME);
  }

  #close() {
    this.#source?.close();
    this.#source = null;
  }

  /** @param {Message} message */
  #publish(message) {
    share(message);
    this.#receive(message);
  }

  /** @param {Message} message */
  #receive(message) {
    if ("connected" in message) {
      if (document.hidden || !this.page.isLive()) return;
      this.page.onConnection(message.connected);
      if (message.connected) void this.#catchUp();
    } else if (this.#queue) this.#queue.push(message);
    else if ("job" in message) this.page.onJob(message.job);
    else this.page.onDeleted(message.deleted);
  }

  /** The response may be older than messages that arrive meanwhile, so these are delivered after it. */
  async #catchUp() {
    this.#polledAt = performance.now();
    if (this.#queue) return;
    this.#queue = [];
    await this.page.catchUp().then(
      () => this.page.onConnection(true),
      () => undefined,
    );
    const waiting = this.#queue;
    this.#queue = null;
    for (const message of waiting) this.#receive(message);
  }
}

/** @returns {{holder: string, until: number}} */
function readLease() {
  return JSON.parse(localStorage.getItem(CHANNEL_NAME) ?? '{"holder": "", "until": 0}');
}

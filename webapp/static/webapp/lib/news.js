/**
 * News of one's songs, for all pages of a browser from one stream of events. A stream holds a connection for as long as it
 * lasts, and over HTTP/1.1 browsers allow a site no more than six.
 *
 * One of the pages in sight holds a lease in the browser's storage: it listens to the server, and passes on what comes. If
 * it is closed, hidden or stuck, the lease is given up or runs out, and another page takes it. (Web Locks would do the same,
 * but exist only on pages that the browser calls secure, which those of a site at home often aren't.) A page that is hidden
 * holds no stream: it asks now and then as long as something goes on, and once when it is shown again.
 */

/**
 * @typedef {import("./api.js").Job} Job
 * @typedef {{job: Job} | {deleted: string} | {connected: boolean}} Message
 * @typedef {object} Page
 * @property {() => boolean} isLive whether what it shows can change without its doing
 * @property {() => Promise<void>} catchUp asks the server how things are, and shows it
 * @property {(job: Job) => void} onJob
 * @property {(id: string) => void} onDeleted
 * @property {(connected: boolean) => void} onConnection
 */

/** Milliseconds between two looks at the lease. */
const LOOK = 500;
/** How long a lease is good, milliseconds: for a page that is busy for a moment, too. */
const LEASE = 3000;
/** Milliseconds between two questions of a hidden page. */
const ASK = 5000;
/** Pauses before a stream that was refused, as while the server restarts, is tried again, milliseconds; the last repeats. */
const RECONNECT = [1000, 2000, 5000, 10000];

/** Of the pages of one account in this browser. */
const NAME = `soundscape.news.${document.body.dataset.account ?? ""}`;
const channel = new BroadcastChannel(NAME);

/** Tells the browser's other pages. @param {Message} message */
export function share(message) {
  channel.postMessage(message);
}

export class News {
  #id = Math.random().toString(36).slice(2);
  /** @type {EventSource | null} */
  #source = null;
  #failures = 0;
  #retryAt = 0;
  /** Whether another page listens, and this page knows all that was sent since. */
  #following = false;
  #askedAt = 0;
  /** What came while the page catches up, to be shown after that. @type {Message[] | null} */
  #waiting = null;

  /** @param {string} url of the stream @param {Page} page */
  constructor(url, page) {
    this.url = url;
    this.page = page;
    channel.addEventListener("message", ({ data }) => this.#take(data));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) void this.#catchUp();
      this.#look();
    });
    window.addEventListener("pagehide", () => this.#release());
    setInterval(() => this.#look(), LOOK);
    this.#look();
  }

  /** Whoever still has the lease at the second look is the only one to have it, even if several took it at once. */
  #look() {
    if (document.hidden || !this.page.isLive()) {
      this.#release();
      if (this.page.isLive() && performance.now() - this.#askedAt > ASK) void this.#catchUp();
      return;
    }
    const { holder, until } = readLease();
    const now = Date.now();
    const good = until > now && until <= now + LEASE; // clocks are put back
    if (good && holder !== this.#id) return this.#follow();
    localStorage.setItem(NAME, JSON.stringify({ holder: this.#id, until: now + LEASE }));
    if (good) this.#listen();
  }

  #follow() {
    this.#close();
    if (!this.#following) void this.#catchUp();
    this.#following = true;
  }

  /** A browser repeats a stream that broke, but gives up on one that was refused. */
  #listen() {
    if (this.#source || performance.now() < this.#retryAt) return;
    this.#following = false;
    const source = new EventSource(this.url);
    this.#source = source;
    source.addEventListener("job", (event) => this.#tell({ job: JSON.parse(event.data) }));
    source.addEventListener("deleted", (event) => this.#tell({ deleted: JSON.parse(event.data).id }));
    source.onopen = () => {
      this.#failures = 0;
      this.#tell({ connected: true });
    };
    source.onerror = () => {
      this.#tell({ connected: false });
      if (source.readyState !== EventSource.CLOSED) return;
      this.#source = null;
      this.#retryAt = performance.now() + RECONNECT[Math.min(this.#failures, RECONNECT.length - 1)];
      this.#failures += 1;
    };
  }

  #release() {
    this.#close();
    this.#following = false;
    if (readLease().holder === this.#id) localStorage.removeItem(NAME);
  }

  #close() {
    this.#source?.close();
    this.#source = null;
  }

  /** @param {Message} message */
  #tell(message) {
    share(message);
    this.#take(message);
  }

  /** @param {Message} message */
  #take(message) {
    if ("connected" in message) {
      if (document.hidden || !this.page.isLive()) return;
      this.page.onConnection(message.connected);
      if (message.connected) void this.#catchUp();
    } else if (this.#waiting) this.#waiting.push(message);
    else if ("job" in message) this.page.onJob(message.job);
    else this.page.onDeleted(message.deleted);
  }

  /** What was answered may be older than what came meanwhile, never newer than what comes later. */
  async #catchUp() {
    this.#askedAt = performance.now();
    if (this.#waiting) return;
    this.#waiting = [];
    await this.page.catchUp().then(
      () => this.page.onConnection(true),
      () => undefined,
    );
    const waiting = this.#waiting;
    this.#waiting = null;
    for (const message of waiting) this.#take(message);
  }
}

/** @returns {{holder: string, until: number}} */
function readLease() {
  return JSON.parse(localStorage.getItem(NAME) ?? '{"holder": "", "until": 0}');
}

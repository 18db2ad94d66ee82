// What happens to the bucket's jobs. Views subscribe here and do not know where the news comes from: today the
// counts are asked for again and again, more rarely while nothing changes; server-sent events can replace that.

/** @typedef {import("./api.js").Api} Api */
/** @typedef {Record<string, any>} Tree */
/** @typedef {{overview: Tree | null, error: unknown, turn: number}} News */

const FIRST_MS = 700;
const LONGEST_MS = 4_000;
const GROWTH = 1.5;
const LONGEST_AFTER_ERROR_MS = 30_000;

export class Events {
  /** @param {Api} api */
  constructor(api) {
    this.api = api;
    /** @type {News} */
    this.news = { overview: null, error: null, turn: 0 };
    /** @type {Set<(news: News) => void>} */
    this.listeners = new Set();
    this.waitMs = FIRST_MS;
    this.text = "";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.isAsking = false;
    this.isStopped = false;
    this.onVisible = () => this.poke();
    document.addEventListener("visibilitychange", this.onVisible);
  }

  /** Call back whenever jobs or queues may have changed. @param {(news: News) => void} listener */
  subscribe(listener) {
    this.listeners.add(listener);
    if (this.listeners.size === 1) this.poke();
    return () => {
      this.listeners.delete(listener);
    };
  }

  /** Look at once, and often for a while: the user has just changed something. */
  poke() {
    this.waitMs = FIRST_MS;
    clearTimeout(this.timer);
    if (!this.isAsking) this.ask();
  }

  stop() {
    this.isStopped = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.onVisible);
  }

  async ask() {
    if (this.isStopped || document.hidden || !this.listeners.size) return;
    this.isAsking = true;
    try {
      const overview = await this.api.call("GET", "/console/overview");
      const text = JSON.stringify([overview.State, overview.Queue]);
      const isBusy = (overview.Queue ?? []).some((/** @type {Tree} */ queue) => Number(queue.Running) > 0);
      const hasChanged = text !== this.text || this.news.error !== null;
      this.text = text;
      if (hasChanged || isBusy) this.tell({ overview, error: null });
      this.waitMs = hasChanged || isBusy ? FIRST_MS : Math.min(this.waitMs * GROWTH, LONGEST_MS);
    } catch (error) {
      this.tell({ error });
      this.waitMs = Math.min(this.waitMs * 2, LONGEST_AFTER_ERROR_MS);
    } finally {
      this.isAsking = false;
    }
    if (!this.isStopped) this.timer = setTimeout(() => this.ask(), this.waitMs);
  }

  /** @param {Partial<News>} news */
  tell(news) {
    this.news = { ...this.news, ...news, turn: this.news.turn + 1 };
    for (const listener of this.listeners) listener(this.news);
  }
}

// What happens to the bucket's jobs: from the service's stream of events, and, while there is none, by asking.
// Views subscribe here and do not know where the news comes from.
import { pause } from "./api.js";
import { reported } from "./clock.js";

/** @typedef {import("./api.js").Api} Api */
/** @typedef {Record<string, any>} Tree */
/** @typedef {{overview: Tree | null, error: unknown, turn: number}} News */

/** How often the numbers of the bucket are asked for while events come, ms. */
const FIRST_MS = 500;
/** After a pause an event makes the page look so soon, so that one answer has what else has just happened, ms. */
const SOON_MS = 60;
/** While nothing comes: without a stream, and with one. */
const LONGEST_MS = 4_000;
const LONGEST_WITH_STREAM_MS = 30_000;
const LONGEST_AFTER_ERROR_MS = 30_000;
const GROWTH = 1.5;
/** A stream that is silent for so long, its heartbeats included, is opened anew. */
const SILENT_MS = 60_000;

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
    /** How long the timer was set to run, ms. */
    this.timerMs = Infinity;
    this.isAsking = false;
    this.isStale = false;
    this.isStreaming = false;
    this.lastEvent = "";
    this.stopped = new AbortController();
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

  /** Follow the service's stream until the end; while it is broken, asking is enough. */
  async follow() {
    const { signal } = this.stopped;
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        await this.stream(() => {
          failures = 0;
        });
      } catch {
        // asked for below
      }
      this.isStreaming = false;
      this.poke();
      await pause(Math.min(1000 * 2 ** failures, LONGEST_AFTER_ERROR_MS), signal).catch(() => 0);
    }
  }

  /** @param {() => void} onOpen */
  async stream(onOpen) {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.stopped.signal]);
    const answer = await this.api.open("/events", { query: { lastEventId: this.lastEvent }, signal });
    if (!answer.body) return;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let timer = setTimeout(() => stop.abort(), SILENT_MS);
    let rest = "";
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(() => stop.abort(), SILENT_MS);
        this.isStreaming = true;
        onOpen();
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop() ?? "";
        for (const block of blocks) this.receive(block);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {string} block of one event */
  receive(block) {
    const id = /^id: (.+)$/m.exec(block);
    if (id?.[1]) this.lastEvent = id[1];
    if (!/^event: (job|queue|batch|reset)$/m.test(block)) return;
    // Many events make no more looks than a few do, and put none off.
    if (this.timerMs <= FIRST_MS) this.isStale = true;
    else this.poke();
  }

  /** Look soon: something has changed. */
  poke() {
    this.waitMs = FIRST_MS;
    this.isStale = true;
    if (!this.isAsking) this.look(this.news.overview ? SOON_MS : 0);
  }

  /** Look after so many milliseconds, and not before. @param {number} ms */
  look(ms) {
    clearTimeout(this.timer);
    this.timerMs = ms;
    this.timer = setTimeout(() => {
      this.timerMs = Infinity;
      this.ask();
    }, ms);
  }

  stop() {
    this.stopped.abort();
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.onVisible);
  }

  async ask() {
    if (this.stopped.signal.aborted || document.hidden || !this.listeners.size) return;
    this.isAsking = true;
    const wasStale = this.isStale;
    this.isStale = false;
    try {
      const overview = await this.api.call("GET", "/console/overview");
      reported(overview.Now);
      const text = JSON.stringify([overview.State, overview.Queue]);
      const isBusy = !this.isStreaming && (overview.Queue ?? []).some((/** @type {Tree} */ queue) => Number(queue.Running) > 0);
      const hasChanged = text !== this.text || this.news.error !== null || wasStale;
      this.text = text;
      if (hasChanged || isBusy) this.notify({ overview, error: null });
      const longest = this.isStreaming ? LONGEST_WITH_STREAM_MS : LONGEST_MS;
      this.waitMs = hasChanged || isBusy ? FIRST_MS : Math.min(this.waitMs * GROWTH, longest);
    } catch (error) {
      this.notify({ error });
      this.waitMs = Math.min(this.waitMs * 2, LONGEST_AFTER_ERROR_MS);
    } finally {
      this.isAsking = false;
    }
    if (!this.stopped.signal.aborted) this.look(this.waitMs);
  }

  /** @param {Partial<News>} news */
  notify(news) {
    this.news = { ...this.news, ...news, turn: this.news.turn + 1 };
    for (const listener of this.listeners) listener(this.news);
  }
}

// Jobs that match a search: found piece by piece, and looked for again when something changes.
import { mayPass } from "../api.js";

/** @typedef {Record<string, any>} Tree */
/** @typedef {Record<string, string | number | undefined>} Query */

/** Jobs that one request returns at most. */
const PAGE = 100;
/** Jobs that are found before anybody asks for more. */
const AHEAD = 20;
/** Least time between two looks at what was found, ms. */
const REST_MS = 500;
/** A search rests so many times as long as its last look took: a text is compared with every job. */
const REST_FACTOR = 4;
/** After no answer, or an error of the service, ms. */
const RETRY_MS = 4_000;

export class Search {
  /** @param {Pick<import("../api.js").Api, "call">} api @param {Query} query @param {() => void} onChange */
  constructor(api, query, onChange) {
    this.api = api;
    this.query = query;
    this.onChange = onChange;
    /** @type {Tree[]} */
    this.rows = [];
    this.cursor = "";
    /** Whether all jobs have been looked at. */
    this.isDone = false;
    /** @type {unknown} */
    this.error = null;
    this.wanted = AHEAD;
    this.isStale = false;
    this.isBusy = false;
    this.restsUntil = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.stopped = new AbortController();
  }

  /** Whether jobs are being looked for that are not shown yet. */
  get isSearching() {
    return !this.isDone && this.wanted > this.rows.length && !this.error;
  }

  /** Find jobs up to a place of the list, and some more. @param {number} last */
  want(last) {
    this.wanted = last + AHEAD;
    this.run();
  }

  /** Look again: jobs may have come, ended or gone. */
  refresh() {
    this.isStale ||= this.isDone || this.isBusy || this.rows.length > 0;
    this.run();
  }

  stop() {
    this.stopped.abort();
    clearTimeout(this.timer);
  }

  async run() {
    if (this.isBusy || this.stopped.signal.aborted) return;
    this.isBusy = true;
    clearTimeout(this.timer);
    try {
      for (let goesOn = true; goesOn; ) {
        goesOn = await this.step();
        this.onChange();
      }
    } catch (error) {
      if (this.stopped.signal.aborted) return;
      this.error = error;
      this.isStale = true;
      if (mayPass(error)) this.later(RETRY_MS);
    } finally {
      this.isBusy = false;
      if (!this.stopped.signal.aborted) this.onChange();
    }
  }

  /** Ask for what is missing or old. @returns {Promise<boolean>} whether there may be more to ask for */
  async step() {
    if (!this.isDone && this.wanted > this.rows.length) {
      const { rows, cursor } = await this.ask(this.cursor);
      this.take([...this.rows, ...rows], cursor);
      return true;
    }
    if (!this.isStale) return false;
    const rest = this.restsUntil - performance.now();
    if (rest > 0) {
      this.later(rest);
      return false;
    }
    this.isStale = false;
    await this.again();
    return true;
  }

  /** Find as many jobs as are found already, and show them instead. */
  async again() {
    const began = performance.now();
    /** @type {Tree[]} */
    const fresh = [];
    let next = "";
    do {
      const { rows, cursor } = await this.ask(next);
      fresh.push(...rows);
      next = cursor;
    } while (next && fresh.length < this.rows.length);
    this.take(fresh, next);
    const now = performance.now();
    this.restsUntil = now + Math.max(REST_MS, REST_FACTOR * (now - began));
  }

  /** @param {Tree[]} rows @param {string} cursor empty at the end */
  take(rows, cursor) {
    this.rows = rows;
    this.cursor = cursor;
    this.isDone = !cursor;
    this.error = null;
  }

  /** @param {string} cursor @returns {Promise<{rows: Tree[], cursor: string}>} */
  async ask(cursor) {
    const { signal } = this.stopped;
    const answer = await this.api.call("GET", "/console/jobs", { query: { ...this.query, size: PAGE, cursor }, signal });
    signal.throwIfAborted();
    return { rows: answer.Job ?? [], cursor: answer.Cursor ?? "" };
  }

  /** @param {number} ms */
  later(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.run(), ms);
  }
}

// Files on their way to S3: in parts, straight to the store, with pause and resume.
import { pause as wait } from "./api.js";

/** @typedef {import("./api.js").Api} Api */
/** @typedef {Record<string, any>} Tree */
/** @typedef {"waiting" | "sending" | "paused" | "done" | "failed" | "given up"} UploadState */
/** @typedef {(url: string, body: Blob, signal: AbortSignal, onProgress: (bytes: number) => void) => Promise<void>} Send */

const AT_ONCE = 3;
const TRIES = 5;
/** A part that makes no progress for so long is sent again, ms. */
const STALLED_MS = 60_000;
const KEPT = "stemline.uploads";

/** The file cannot be read: it is a folder, or was moved or changed since it was chosen. */
export class Unreadable extends Error {}

/** The store did not answer: it is not reached, or does not allow this page to write. */
export class Unreached extends Error {}

/** Whether a file, or a part of one, can be read. @param {Blob} blob */
export async function isReadable(blob) {
  return blob.slice(0, 1).arrayBuffer().then(() => true, () => false);
}

/** Send a part with PUT; XMLHttpRequest, because fetch does not say how much has been sent. @type {Send} */
export function put(url, body, signal, onProgress) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    let timer = setTimeout(() => request.abort(), STALLED_MS);
    request.open("PUT", url);
    request.upload.onprogress = (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => request.abort(), STALLED_MS);
      onProgress(event.loaded);
    };
    request.onloadend = () => {
      clearTimeout(timer);
      if (request.status >= 200 && request.status < 300) done();
      else failed(request.status ? new Error(`${request.status} ${request.statusText}`) : new Unreached());
    };
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}

/** One file. */
export class Upload {
  /** @param {Api} api @param {File} file @param {() => void} onChange @param {Send} [send] */
  constructor(api, file, onChange, send = put) {
    this.api = api;
    this.file = file;
    this.onChange = onChange;
    this.send = send;
    /** @type {UploadState} */
    this.state = "waiting";
    /** @type {unknown} */
    this.error = null;
    /** Whether it was interrupted, and nothing has been sent since: it is tried again. */
    this.isHeld = false;
    this.key = "";
    /** @type {Tree | null} what the service knows of the upload */
    this.record = recall(file);
    this.received = 0;
    /** @type {Map<number, number>} bytes sent of the parts on their way */
    this.partial = new Map();
    this.stop = new AbortController();
  }

  /** Share that has been sent, 0 to 1. */
  get share() {
    if (this.state === "done") return 1;
    const under = [...this.partial.values()].reduce((sum, bytes) => sum + bytes, 0);
    return Math.min(1, (this.received + under) / Math.max(1, this.file.size));
  }

  /** Send the file, or go on with it, until it is an object of the bucket. @returns {Promise<boolean>} whether it is */
  async run() {
    if (this.state === "sending" || this.state === "done") return this.state === "done";
    this.stop = new AbortController();
    this.turn("sending");
    try {
      for (let tried = 1; ; tried += 1) {
        try {
          await this.sendMissing();
          break;
        } catch (error) {
          this.stop.signal.throwIfAborted();
          if (!(await isReadable(this.file))) throw new Unreadable();
          if (tried === TRIES || isFinal(error)) throw error;
          this.isHeld = true;
          this.onChange();
          await wait(500 * 2 ** tried, this.stop.signal);
        }
      }
      const { key } = /** @type {{key: string}} */ (this.named());
      await this.api.call("POST", "/uploads/complete", { query: this.named() });
      this.key = key;
      forgetRecord(this.file);
      this.turn("done");
      return true;
    } catch (error) {
      this.partial.clear();
      if (this.stop.signal.aborted) this.onChange();
      else {
        this.error = error;
        this.turn("failed");
      }
      return false;
    }
  }

  /** Wait for its turn. */
  queue() {
    if (this.state === "paused" || this.state === "failed") this.turn("waiting");
  }

  /** Stop sending; what has arrived stays. */
  pause() {
    if (this.state !== "sending") return;
    this.turn("paused");
    this.stop.abort();
  }

  /** Give the upload up, and delete what has arrived; a file that has become an object stays. */
  async giveUp() {
    const isObject = this.state === "done";
    this.turn("given up");
    this.stop.abort();
    forgetRecord(this.file);
    if (this.record && !isObject) await this.api.call("DELETE", "/uploads", { query: this.named() }).catch(() => 0);
  }

  async sendMissing() {
    for (;;) {
      const record = await this.ask();
      /** @type {Tree[]} */
      const parts = record.Part ?? [];
      this.partial.clear();
      this.received = this.bytesOf(Number(record.PartCount)) - parts.reduce((sum, part) => sum + this.sizeOf(Number(part.PartNumber)), 0);
      if (Number(record.PartCount) - Number(record.ReceivedCount) > parts.length)
        this.received = Number(record.ReceivedCount) * Number(record.PartSize);
      if (!parts.length) return;
      const queue = [...parts];
      const work = async () => {
        for (let part = queue.shift(); part; part = queue.shift()) {
          const number = Number(part.PartNumber);
          const from = (number - 1) * Number(record.PartSize);
          const blob = this.file.slice(from, from + this.sizeOf(number));
          await this.send(part.Url, blob, this.stop.signal, (bytes) => {
            this.isHeld = false;
            this.partial.set(number, bytes);
            this.onChange();
          });
          this.partial.delete(number);
          this.received += blob.size;
          this.onChange();
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
    }
  }

  /** Open the upload, or ask what is missing of it. @returns {Promise<Tree>} */
  async ask() {
    const { api, file } = this;
    const { signal } = this.stop;
    if (this.record) {
      try {
        this.record = (await api.call("PUT", "/uploads", { query: this.named(), signal })).Upload;
        return /** @type {Tree} */ (this.record);
      } catch (error) {
        if (/** @type {any} */ (error).status !== 404) throw error;
        this.record = null; // it was given up elsewhere
      }
    }
    const body = { Name: file.name, Size: String(file.size), ContentType: file.type || "application/octet-stream" };
    this.record = (await api.call("POST", "/uploads", { body, signal })).Upload;
    const record = /** @type {Tree} */ (this.record);
    remember(file, { Key: record.Key, UploadId: record.UploadId, PartSize: record.PartSize, PartCount: record.PartCount });
    return record;
  }

  /** The query that names the upload. @returns {Record<string, string>} */
  named() {
    return { key: String(this.record?.Key), uploadId: String(this.record?.UploadId), size: String(this.file.size) };
  }

  /** @param {number} number from 1 */
  sizeOf(number) {
    const size = Number(this.record?.PartSize);
    return Math.min(size, this.file.size - (number - 1) * size);
  }

  /** @param {number} parts */
  bytesOf(parts) {
    return Math.min(this.file.size, parts * Number(this.record?.PartSize));
  }

  /** @param {UploadState} state */
  turn(state) {
    this.state = state;
    this.isHeld = false;
    if (state === "sending" || state === "waiting") this.error = null;
    this.onChange();
  }
}

/** @param {unknown} error */
function isFinal(error) {
  const status = /** @type {any} */ (error).status;
  return status === 400 || status === 403;
}

// An upload outlives a reload of the tab: the same file goes on where it stopped.

/** @param {File} file */
function nameOf(file) {
  return `${file.name}\n${file.size}\n${file.lastModified}`;
}

/** @returns {Record<string, Tree>} */
function records() {
  return JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
}

/** @param {File} file @returns {Tree | null} */
function recall(file) {
  return records()[nameOf(file)] ?? null;
}

/** @param {File} file @param {Tree} record */
function remember(file, record) {
  sessionStorage.setItem(KEPT, JSON.stringify({ ...records(), [nameOf(file)]: record }));
}

/** @param {File} file */
function forgetRecord(file) {
  const { [nameOf(file)]: _, ...others } = records();
  sessionStorage.setItem(KEPT, JSON.stringify(others));
}

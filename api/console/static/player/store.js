// Files of the store, by links that the API has signed.
import { pause } from "../api.js";
import { t } from "../text.js";

/** @typedef {{signal?: AbortSignal, renew?: () => Promise<string[]>, get?: typeof fetch, tries?: number, silentMs?: number}} Reading `renew` returns new links */
/** @typedef {(options?: RequestInit) => Promise<Response>} Get */

export const TRIES = 4;
/** A store that sends nothing for so long is given up, ms. */
const SILENT_MS = 30_000;

/** A store that does not answer (`status` 0), or refuses. */
export class StoreError extends Error {
  /** @param {number} status */
  constructor(status) {
    super(status ? t(status === 404 ? "player.gone" : "player.refused", { status }) : t("player.unreached"));
    this.status = status;
  }
}

/**
 * Ask the store for a file, again where it fails; a link that has expired is renewed.
 * @template T
 * @param {string[]} urls of all files, changed when they are renewed
 * @param {number} index
 * @param {Reading} reading
 * @param {(get: Get, heard: () => void) => Promise<T | number>} take asks, says when something has come, and returns what it took of the answer, or the status of a refusal; errors that name a cause of their own are final
 * @returns {Promise<T>}
 */
export async function fromStore(urls, index, { signal, renew, get = (...given) => fetch(...given), tries = TRIES, silentMs = SILENT_MS }, take) {
  for (let tried = 1; ; tried += 1) {
    const url = urls[index] ?? "";
    const silence = new AbortController();
    const limit = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
    let timer = setTimeout(() => silence.abort(), silentMs);
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), silentMs);
    };
    try {
      if (!url) throw new StoreError(403); // the credential may not read there
      const taken = await take((options) => get(url, { ...options, signal: limit }), heard);
      if (typeof taken !== "number") return taken;
      throw new StoreError(taken);
    } catch (error) {
      if (signal?.aborted || isCause(error)) throw error;
      const problem = error instanceof StoreError ? error : new StoreError(0);
      // Who was silent for so long once is asked once more.
      if (silence.signal.aborted) tried = Math.max(tried, TRIES - 1);
      if (tried >= tries || problem.status === 404) throw problem;
      // Another file may have brought new links meanwhile.
      if (problem.status !== 403 || !renew) await pause(300 * tried, signal);
      else if (url === urls[index]) urls.splice(0, urls.length, ...(await renew()));
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * Return the bytes of an answer, or the status of a refusal.
 * @param {Response} answer
 * @param {() => void} heard
 * @param {(share: number) => void} [onProgress] 0 to 1
 * @returns {Promise<Blob | number>}
 */
export async function received(answer, heard, onProgress) {
  if (!answer.ok || !answer.body) return answer.status;
  const total = Number(answer.headers.get("content-length")) || 0;
  /** @type {BlobPart[]} */
  const parts = [];
  let size = 0;
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts);
    heard();
    parts.push(/** @type {BlobPart} */ (value));
    size += value.length;
    if (total) onProgress?.(size / total);
  }
}

/** Whether an error is neither of the store nor of the way to it. @param {unknown} error */
function isCause(error) {
  return error instanceof Error && !(error instanceof StoreError || error instanceof TypeError) && !(error instanceof DOMException);
}

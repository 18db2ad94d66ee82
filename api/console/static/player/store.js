// Files of the store, by links that the API has signed.
import { pause } from "../api.js";
import { t } from "../text.js";

/** @typedef {{signal?: AbortSignal, renew?: () => Promise<string[]>, get?: typeof fetch}} Reading `renew` returns new links */

const TRIES = 4;

/** A store that does not answer (`status` 0), or refuses. */
export class StoreError extends Error {
  /** @param {number} status */
  constructor(status) {
    super(status ? t("player.refused", { status }) : t("player.unreached"));
    this.status = status;
  }
}

/**
 * Ask the store for a file, again where it fails; a link that has expired is renewed.
 * @template T
 * @param {string[]} urls of all files, changed when they are renewed
 * @param {number} index
 * @param {Reading} reading
 * @param {(get: (options?: RequestInit) => Promise<Response>) => Promise<T | number>} take asks, and returns what it took of the answer, or the status of a refusal; errors that name a cause of their own are final
 * @returns {Promise<T>}
 */
export async function fromStore(urls, index, { signal, renew, get = (...given) => fetch(...given) }, take) {
  for (let tried = 1; ; tried += 1) {
    try {
      const taken = await take((options) => get(urls[index] ?? "", { signal, ...options }));
      if (typeof taken !== "number") return taken;
      throw new StoreError(taken);
    } catch (error) {
      if (signal?.aborted || isCause(error)) throw error;
      const problem = error instanceof StoreError ? error : new StoreError(0);
      if (tried === TRIES || problem.status === 404) throw problem;
      if (problem.status === 403 && renew) urls.splice(0, urls.length, ...(await renew()));
      else await pause(300 * tried, signal);
    }
  }
}

/** Whether an error is neither of the store nor of the way to it. @param {unknown} error */
function isCause(error) {
  return error instanceof Error && !(error instanceof StoreError || error instanceof TypeError) && !(error instanceof DOMException);
}

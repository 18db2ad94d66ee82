// Requests to the API: signed, in JSON, repeated where that is safe, with errors as sentences.
import { answered, timeOfApi } from "./clock.js";
import { hashes } from "./hashes.js";
import { authorization, queryString } from "./signing.js";
import { t } from "./text.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {Record<string, any>} Tree */
/** @typedef {{query?: Record<string, string | number | undefined>, body?: Tree, headers?: Record<string, string>, signal?: AbortSignal}} Options */

/** SHA-256 of an empty body. */
const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const TRIES = 4;
/** A signature whose time differs by more from the service's may be refused for it, s. */
const MAX_SKEW_S = 50;
/** Longest wait for an answer, ms. */
const DEADLINE_MS = 30_000;

/** A refusal of the API, or no answer at all (`status` 0). */
export class ApiError extends Error {
  /** @param {number} status @param {string} code @param {string} message @param {string} requestId */
  constructor(status, code, message, requestId) {
    super(message);
    this.status = status;
    this.code = code;
    this.requestId = requestId;
    /** Whether the request was signed with a time that the server's clock contradicts. */
    this.isSkewed = false;
  }
}

export class Api {
  /** @param {Session} session @param {typeof fetch} send */
  constructor(session, send = (...given) => fetch(...given)) {
    this.session = session;
    this.send = send;
    /** Whether reads carry a digest and a nonce too, as some credentials demand. */
    this.signsReads = false;
  }

  /**
   * Send a request and return the answer. Reads and requests with an Idempotency-Key are repeated while the
   * service does not answer; other requests only where the service says that nothing was stored.
   * @param {string} method
   * @param {string} path
   * @param {Options} [options]
   * @returns {Promise<Tree>}
   */
  async call(method, path, options = {}) {
    const isSafe = method !== "POST" || Boolean(options.headers?.["Idempotency-Key"]);
    let hasLearnt = false;
    for (let tried = 1; ; tried += 1) {
      try {
        return await this.once(method, path, options);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.status === 403 && !hasLearnt && this.learn(error)) {
          hasLearnt = true;
          continue;
        }
        const mayPass = error.status === 503 || (error.status === 0 && isSafe);
        if (!mayPass || tried === TRIES || options.signal?.aborted) throw error;
        await pause(300 * 2 ** tried, options.signal);
      }
    }
  }

  /** @param {string} method @param {string} path @param {Options} options @returns {Promise<Tree>} */
  async once(method, path, options) {
    const signal = AbortSignal.any([AbortSignal.timeout(DEADLINE_MS), ...(options.signal ? [options.signal] : [])]);
    const { answer, text, isSkewed } = await this.exchange(method, path, { ...options, signal }, (received) => received.text());
    if (answer.ok) return text ? JSON.parse(text) : {};
    throw refusal(answer, text, isSkewed);
  }

  /** Open a stream of events; it goes on until it is aborted. @param {string} path @param {Options} options @returns {Promise<Response>} */
  async open(path, options) {
    const { answer, isSkewed } = await this.exchange("GET", path, options, async () => "");
    if (answer.ok) return answer;
    throw refusal(answer, await answer.text(), isSkewed);
  }

  /** Send a signed request. @param {string} method @param {string} path @param {Options} options @param {(answer: Response) => Promise<string>} read */
  async exchange(method, path, options, read) {
    const query = /** @type {Record<string, string>} */ ({});
    for (const [name, value] of Object.entries(options.query ?? {}))
      if (value !== undefined && value !== "") query[name] = String(value);
    const body = options.body ? JSON.stringify(options.body) : undefined;
    /** @type {Record<string, string>} */
    const signed = {};
    if (method !== "GET" || this.signsReads) {
      signed["x-stemline-content-sha256"] = body ? await (await hashes()).sha256(body) : EMPTY;
      signed["x-stemline-nonce"] = nonce();
    }
    const { bucket, region, token } = this.session;
    if (bucket && region) signed["x-stemline-tenant"] = `${region}/${bucket}`;
    if (token) signed["x-ci-security-token"] = token;
    const now = Math.floor(timeOfApi() / 1000);
    if (body) signed["content-type"] = "application/json";
    Object.assign(signed, options.headers);
    const headers = {
      ...signed,
      Accept: "application/json",
      Authorization: await authorization(this.session, method, path, query, { host: location.host, ...signed }, now),
    };
    const target = encodePath(path) + (Object.keys(query).length ? `?${queryString(query)}` : "");
    try {
      const answer = await this.send(target, { method, headers, body, signal: options.signal });
      answered(answer.headers.get("date"));
      return { answer, text: await read(answer), isSkewed: Math.abs(timeOfApi() / 1000 - now) > MAX_SKEW_S };
    } catch (error) {
      if (options.signal?.aborted && options.signal.reason?.name !== "TimeoutError") throw error;
      throw new ApiError(0, "", error instanceof Error ? error.message : String(error), "");
    }
  }

  /** Return whether a refusal says how to sign better. @param {ApiError} error */
  learn(error) {
    if (error.message.includes("x-stemline-nonce") && !this.signsReads) {
      this.signsReads = true;
      return true;
    }
    return error.isSkewed;
  }
}

/** @param {Response} answer @param {string} text @param {boolean} isSkewed */
function refusal(answer, text, isSkewed) {
  const id = answer.headers.get("x-ci-request-id") ?? "";
  /** @type {Tree} */
  let tree = {};
  try {
    tree = JSON.parse(text);
  } catch {
    // a proxy answered
  }
  const error = new ApiError(answer.status, String(tree.Code ?? ""), String(tree.Message ?? answer.statusText), id);
  error.isSkewed = isSkewed;
  return error;
}

/** Whether the same request may succeed later: the service did not answer, or had an error of its own. @param {unknown} error */
export function mayPass(error) {
  return error instanceof ApiError && (error.status === 0 || error.status >= 500);
}

/** Return what an error means for the user, as one sentence. @param {unknown} error @returns {string} */
export function sentence(error) {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  if (error.status === 0) return t("error.unreachable");
  const known = t(`error.${error.code}`, {}, "");
  return known ? `${known} (${error.code}: ${error.message})` : `${error.code || error.status}: ${error.message}`;
}

/** @param {string} path */
function encodePath(path) {
  return path.split("/").map(encodeURIComponent).join("/");
}

function nonce() {
  const bytes = crypto.getRandomValues(new Uint8Array(18));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

/** Wait. @param {number} ms @param {AbortSignal} [signal] @returns {Promise<void>} */
export function pause(ms, signal) {
  return new Promise((done, failed) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      failed(signal.reason);
    });
  });
}

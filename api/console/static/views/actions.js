// What buttons of several views do to jobs.
import { pause } from "../api.js";
import { now } from "../clock.js";
import { wireTime } from "../format.js";
import { milliseconds } from "./options.js";

/** @typedef {import("../ui.js").Page} Page */
/** @typedef {Record<string, any>} Tree */

const IDS_AT_ONCE = 10;

/**
 * Cancel jobs, as many of them as can be; those that have ended meanwhile stay as they are.
 * @param {Pick<Page, "api" | "events">} page
 * @param {string[]} ids
 */
export async function cancelJobs({ api, events }, ids) {
  for (let i = 0; i < ids.length; i += IDS_AT_ONCE) {
    const some = ids.slice(i, i + IDS_AT_ONCE);
    try {
      await cancel(api, some);
    } catch (error) {
      if (some.length === 1) throw error;
      // All or none: one of them has ended.
      for (const id of some) await cancel(api, [id]).catch(() => 0);
    }
  }
  events.poke();
}

/** @param {Page["api"]} api @param {string[]} ids */
function cancel(api, ids) {
  return api.call("PUT", `/jobs/${ids.join(",")}`, { query: {}, body: undefined });
}

/** Which jobs are meant, by the filters of a bulk request. @typedef {Record<string, string | undefined>} Which */

const WAITING = "Submitted,Pause";

/** Cancel every job that waits. @param {Pick<Page, "api" | "events">} page @param {Which} [which] */
export async function cancelWaiting({ api, events }, which) {
  await inParts(api, "/bulk/jobs/cancel", { ...which, states: WAITING });
  events.poke();
}

/** How many jobs wait. @param {Page["api"]} api @param {Which} [which] @returns {Promise<number>} */
export async function countWaiting(api, which) {
  return inParts(api, "/bulk/jobs/cancel", { ...which, states: WAITING, dryRun: "true" }, "MatchedCount");
}

/** Retry every failed job that was not retried yet. @param {Pick<Page, "api" | "events">} page @param {Which} [which] @returns {Promise<number>} how many */
export async function retryFailed({ api, events }, which) {
  const count = await inParts(api, "/bulk/jobs/retry", { ...which, states: "Failed" });
  events.poke();
  return count;
}

/** How many failed jobs can be retried. @param {Page["api"]} api @param {Which} [which] @returns {Promise<number>} */
export async function countRetriable(api, which) {
  return inParts(api, "/bulk/jobs/retry", { ...which, states: "Failed", dryRun: "true" }, "MatchedCount");
}

/** The filters of a list of jobs as those of a bulk request, which knows no text. @param {import("../route.js").Route} route @returns {Which} */
export function whichOf({ queue, batch, from, to }) {
  return {
    queueId: queue || undefined,
    batchId: batch || undefined,
    startCreationTime: wireTime(from, "00:00:00"),
    endCreationTime: wireTime(to, "23:59:59"),
  };
}

/**
 * Repeat a request for many until nothing is left to do.
 * @param {Page["api"]} api @param {string} path @param {Record<string, string | undefined>} query @param {string} [counted]
 * @returns {Promise<number>}
 */
async function inParts(api, path, query, counted = "ChangedCount") {
  let count = 0;
  let nextToken;
  do {
    /** @type {Tree} */
    const answer = await api.call("POST", path, { query: { ...query, nextToken } });
    count += Number(answer[counted] ?? 0);
    nextToken = answer.NextToken || undefined;
    if (nextToken) await pause(200);
  } while (nextToken);
  return count;
}

/**
 * Return the request that submits a job again. Times that have passed are left out.
 * @param {Tree} job of `JobsDetail`
 * @param {Tree} [callback] what the job's own request said about its callback
 * @returns {Tree}
 */
export function requestOf(job, callback) {
  const { Input, Operation, QueueId, NotBefore, Deadline, Timeout, Hop } = job;
  const chosen = Operation.TemplateId
    ? { TemplateId: Operation.TemplateId }
    : { VoiceSeparate: Operation.VoiceSeparate };
  /** @param {string | undefined} time */
  const isAhead = (time) => Boolean(time) && milliseconds(String(time)) > now();
  return {
    Tag: "VoiceSeparate",
    Input: { Object: Input.Object, ...(Input.AudioTrack ? { AudioTrack: Input.AudioTrack } : {}) },
    Operation: {
      ...chosen,
      Output: Operation.Output,
      ...(Operation.UserData ? { UserData: Operation.UserData } : {}),
      JobLevel: Operation.JobLevel ?? "0",
    },
    ...(QueueId ? { QueueId } : {}),
    ...callback,
    ...(isAhead(NotBefore) ? { NotBefore } : {}),
    ...(isAhead(Deadline) ? { Deadline } : {}),
    ...(Timeout ? { Timeout } : {}),
    ...(Hop ? { Hop } : {}),
  };
}

/**
 * Return a callback that may be asked for again: one whose URL is masked is left out.
 * @param {Tree} [callback] what the job's own request said about its callback
 * @returns {Tree | undefined}
 */
export const repeatable = (callback) => (String(callback?.CallBack ?? "").includes("***") ? undefined : callback);

/**
 * Submit a request once, however often it has to be sent, and return the id of the job.
 * @param {Pick<Page, "api" | "events">} page
 * @param {Tree} request
 * @returns {Promise<string>}
 */
export async function submit({ api, events }, request) {
  const made = await api.call("POST", "/jobs", { body: request, headers: { "Idempotency-Key": randomKey() } });
  events.poke();
  return String(made.JobsDetail[0].JobId);
}

/**
 * Retry jobs, as many of them as can be; those that did not fail stay as they are.
 * @param {Pick<Page, "api" | "events">} page
 * @param {string[]} ids
 * @returns {Promise<number>} how many
 */
export async function retryJobs({ api, events }, ids) {
  /** @param {string[]} some */
  const send = (some) => api.call("POST", `/jobs/${some.join(",")}/retry`, { headers: { "Idempotency-Key": randomKey() } });
  let count = 0;
  for (let i = 0; i < ids.length; i += IDS_AT_ONCE) {
    const some = ids.slice(i, i + IDS_AT_ONCE);
    try {
      await send(some);
      count += some.length;
    } catch (error) {
      if (/** @type {any} */ (error).status !== 400) throw error;
      // All or none: one of them is in another state.
      for (const id of some) count += await send([id]).then(() => 1, () => 0);
    }
  }
  events.poke();
  return count;
}

/** Retry a job that failed or was cancelled, as a new one, and return its id. @param {Pick<Page, "api" | "events">} page @param {string} id @returns {Promise<string>} */
export async function retry({ api, events }, id) {
  const made = await api.call("POST", `/jobs/${id}/retry`, { headers: { "Idempotency-Key": randomKey() } });
  events.poke();
  return String(made.JobsDetail[0].JobId);
}

function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What buttons of several views do to jobs.
import { pause } from "../api.js";

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

/** Cancel every job that waits. @param {Pick<Page, "api" | "events">} page */
export async function cancelWaiting(page) {
  const { api } = page;
  for (let turn = 0; turn < 2000; turn += 1) {
    const found = await api.call("GET", "/console/jobs", { query: { state: "Submitted", size: 200 } });
    const ids = (found.Job ?? []).map((/** @type {Tree} */ job) => String(job.JobId));
    if (!ids.length) break;
    await cancelJobs(page, ids);
    await pause(20);
  }
  page.events.poke();
}

/**
 * Return the request that submits a job again, as far as its answer says.
 * @param {Tree} job of `JobsDetail`
 * @returns {Tree}
 */
export function requestOf(job) {
  const { Input, Operation, QueueId } = job;
  const chosen = Operation.TemplateId
    ? { TemplateId: Operation.TemplateId }
    : { VoiceSeparate: Operation.VoiceSeparate };
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
  };
}

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

function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Workers, as the jobs they run and have run show them.
import { baseName, duration, number, time } from "../format.js";
import { t } from "../text.js";
import { Empty, html, Link, Problem, useLoad, useNews, usePage } from "../ui.js";

/** @typedef {Record<string, any>} Tree */

const ENDED_JOBS = 200;

export default function Workers() {
  const { api, session } = usePage();
  const { turn } = useNews();
  const { value, error } = useLoad(async (signal) => {
    /** @param {string} state @param {number} size */
    const jobs = async (state, size) => (await api.call("GET", "/console/jobs", { query: { state, size }, signal })).Job ?? [];
    return workersOf(await jobs("Running", 200), await jobs("Success", ENDED_JOBS));
  }, [api, turn]);
  const flower = session.FlowerUrl && html`<a class="button" href="${session.FlowerUrl}/workers" target="_blank" rel="noopener">${t("worker.flower")}</a>`;
  return html`<div class="bar"><h1>${t("nav.workers")}</h1>${flower}</div><${Problem} error=${error} />
    ${value && !value.length && html`<${Empty} title=${t("worker.none")}><p>${t("worker.noneHint")}</p><//>`}
    ${value && value.length > 0 && html`<div class="card wide" tabindex="0" role="group" aria-label=${t("nav.workers")}><table class="table">
      <thead><tr><th>${t("job.worker")}</th><th>${t("worker.device")}</th><th>${t("worker.now")}</th><th>${t("worker.ended")}</th><th>${t("job.speed")}</th><th>${t("worker.seen")}</th></tr></thead>
      <tbody>${value.map((each) => html`<tr key=${each.name}><td class="mono">${each.name}</td><td>${each.device}</td>
        <td>${each.running.length ? each.running.map((job) => html`<div key=${job.JobId}><${Link} to=${{ view: "job", job: job.JobId }}>${baseName(job.Key)}<//> ${job.Progress} %</div>`) : html`<span class="soft">${t("worker.idle")}</span>`}</td>
        <td>${number(each.ended)}</td><td>${each.ran ? `× ${(each.sound / each.ran).toFixed(1)}` : "–"}</td>
        <td>${each.running.length ? t("worker.busy", { time: duration((Date.now() * 1000 - Number(each.running[0]?.Started)) / 1e6) }) : time(each.seen)}</td></tr>`)}</tbody>
    </table></div><p class="soft small">${t("worker.from", { n: ENDED_JOBS })}</p>`}`;
}

/**
 * @typedef {object} Worker
 * @property {string} name
 * @property {string} device
 * @property {Tree[]} running
 * @property {number} ended jobs among the latest
 * @property {number} sound s of audio in them
 * @property {number} ran s of work for them
 * @property {number} seen µs since the epoch
 */

/** Group jobs by the worker that runs or ran them. @param {Tree[]} running @param {Tree[]} ended @returns {Worker[]} */
export function workersOf(running, ended) {
  /** @type {Map<string, Worker>} */
  const found = new Map();
  /** @param {Tree} job */
  const of = (job) => {
    /** @type {Worker} */
    const known = found.get(job.Worker) ?? { name: job.Worker, device: job.Device, running: [], ended: 0, sound: 0, ran: 0, seen: 0 };
    found.set(job.Worker, known);
    return known;
  };
  for (const job of running) if (job.Worker) of(job).running.push(job);
  for (const job of ended) {
    if (!job.Worker) continue;
    const worker = of(job);
    worker.ended += 1;
    worker.device ||= job.Device;
    worker.seen = Math.max(worker.seen, Number(job.Ended));
    if (!job.Duration) continue;
    worker.sound += Number(job.Duration);
    worker.ran += (Number(job.Ended) - Number(job.Started)) / 1e6;
  }
  return [...found.values()].sort((a, b) => b.running.length - a.running.length || b.seen - a.seen);
}

// Workers: those that report themselves, and what the jobs of the bucket say of them.
import { baseName, duration, number, time } from "../format.js";
import { t } from "../text.js";
import { Empty, html, Link, Problem, State, useLoad, useNews, usePage } from "../ui.js";
import { useEffect } from "../vendor/hooks.js";

/** @typedef {Record<string, any>} Tree */

const ENDED_JOBS = 200;
/** How often reports are looked at, ms; workers make one every 10 s. */
const LOOK_MS = 10_000;

export default function Workers() {
  const { api, session } = usePage();
  const { turn } = useNews();
  const { value, error, reload } = useLoad(async (signal) => {
    /** @param {string} state @param {number} size */
    const jobs = async (state, size) => (await api.call("GET", "/console/jobs", { query: { state, size }, signal })).Job ?? [];
    const [running, ended, answer] = await Promise.all([jobs("Running", 200), jobs("Success", ENDED_JOBS), api.call("GET", "/console/workers", { signal })]);
    return { now: Number(answer.Now), workers: workersOf(running, ended, answer.Worker ?? []) };
  }, [api, turn]);
  useEffect(() => {
    // That a worker is silent is no event.
    const timer = setInterval(() => document.hidden || reload(), LOOK_MS);
    return () => clearInterval(timer);
  }, []);
  const flower = session.FlowerUrl && html`<a class="button" href="${session.FlowerUrl}/workers" target="_blank" rel="noopener">${t("worker.flower")}</a>`;
  const { now, workers } = value ?? { now: 0, workers: [] };
  return html`<div class="bar"><h1>${t("nav.workers")}</h1>${flower}</div><${Problem} error=${error} />
    ${value && !workers.length && html`<${Empty} title=${t("worker.none")}><p>${t("worker.noneHint")}</p><//>`}
    ${workers.length > 0 && html`<div class="cards">${workers.map((each) => html`<${Card} key=${each.name} worker=${each} now=${now} />`)}</div>
      <p class="soft small">${t("worker.from", { n: ENDED_JOBS })}</p>`}`;
}

/** @param {{worker: Worker, now: number}} props */
function Card({ worker, now }) {
  const { name, report, running, ended, sound, ran } = worker;
  const state = report ? (report.Alive === "true" ? "Alive" : "Gone") : running.length ? "Alive" : "Unknown";
  /** @type {[string, unknown][]} */
  const facts = [
    ["worker.device", worker.device],
    ["worker.slots", report && (report.Kind === "separation" ? t("worker.slotsOf", { n: number(report.Slots), levels: (report.Level ?? []).join(", ") || "–" }) : t("worker.delivers", { n: number(report.Slots) }))],
    ["worker.version", report?.Version],
    ["worker.since", report && time(report.Started)],
    ["worker.seen", report ? t("worker.ago", { time: duration(Math.max(0, now - Number(report.Seen)) / 1e6) }) : worker.seen && time(worker.seen)],
    ["worker.ended", ended > 0 && number(ended)],
    ["job.speed", ran > 0 && `× ${(sound / ran).toFixed(1)}`],
  ];
  return html`<section class="card" aria-label=${name} data-worker=${name}>
    <div class="bar"><h2 class="mono">${name}</h2><${State} name=${state} /></div>
    ${report?.Kind !== "callbacks" && html`<p>${running.length ? running.map((job) => html`<div key=${job.JobId}><${Link} to=${{ view: "job", job: job.JobId }}>${baseName(job.Key)}<//> ${job.Progress} % <span class="soft small">${t("worker.busy", { time: duration(Math.max(0, now - Number(job.Started)) / 1e6) })}</span></div>`) : html`<span class="soft">${t("worker.idle")}</span>`}</p>`}
    <dl class="facts" data-kind=${report?.Kind}>${facts.filter(([, value]) => value).map(([fact, value]) => html`<dt key=${fact}>${t(fact)}</dt><dd>${value}</dd>`)}</dl></section>`;
}

/**
 * @typedef {object} Worker
 * @property {string} name
 * @property {string} device of its jobs, else what it reports
 * @property {Tree | null} report its own; null if it makes none
 * @property {Tree[]} running
 * @property {number} ended jobs among the latest
 * @property {number} sound s of audio in them
 * @property {number} ran s of work for them
 * @property {number} seen µs since the epoch
 */

/**
 * Group jobs by the worker that runs or ran them, and add the workers' own reports.
 * @param {Tree[]} running
 * @param {Tree[]} ended
 * @param {Tree[]} [reports]
 * @returns {Worker[]} those that live and are busy first
 */
export function workersOf(running, ended, reports = []) {
  /** @type {Map<string, Worker>} */
  const found = new Map();
  /** @param {string} name @returns {Worker} */
  const of = (name) => {
    const known = found.get(name) ?? { name, device: "", report: null, running: [], ended: 0, sound: 0, ran: 0, seen: 0 };
    found.set(name, known);
    return known;
  };
  for (const report of reports) Object.assign(of(report.Name), { report, seen: Number(report.Seen) });
  for (const job of running) {
    if (!job.Worker) continue;
    const worker = of(job.Worker);
    worker.running.push(job);
    worker.device ||= job.Device;
  }
  for (const job of ended) {
    if (!job.Worker) continue;
    const worker = of(job.Worker);
    worker.ended += 1;
    worker.device ||= job.Device;
    worker.seen = Math.max(worker.seen, Number(job.Ended));
    if (!job.Duration) continue;
    worker.sound += Number(job.Duration);
    worker.ran += (Number(job.Ended) - Number(job.Started)) / 1e6;
  }
  for (const worker of found.values()) worker.device ||= worker.report?.Device ?? "";
  const isAlive = (/** @type {Worker} */ worker) => Number(worker.report?.Alive === "true" || worker.running.length > 0);
  return [...found.values()].sort((a, b) => isAlive(b) - isAlive(a) || b.running.length - a.running.length || (a.name < b.name ? -1 : 1));
}

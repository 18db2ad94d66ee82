// Workers: those that report themselves, and what the jobs of the bucket say of them.
import { reported, secondsSince } from "../clock.js";
import { duration, number, shownName, time } from "../format.js";
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
    reported(answer.Now);
    return { workers: workersOf(running, ended, answer.Worker ?? []) };
  }, [api, turn]);
  useEffect(() => {
    // That a worker is silent is no event.
    const timer = setInterval(() => document.hidden || reload(), LOOK_MS);
    return () => clearInterval(timer);
  }, []);
  const flower = session.FlowerUrl && html`<a class="button" href="${session.FlowerUrl}/workers" target="_blank" rel="noopener">${t("worker.flower")}</a>`;
  const { workers } = value ?? { workers: [] };
  return html`<div class="bar"><h1>${t("nav.workers")}</h1>${flower}</div><${Problem} error=${error} />
    ${value && !workers.length && html`<${Empty} title=${t("worker.none")}><p>${t("worker.noneHint")}</p><//>`}
    ${workers.length > 0 && html`<div class="cards">${workers.map((each) => html`<${Card} key=${each.name} worker=${each} />`)}</div>
      <p class="soft small">${t("worker.from", { n: ENDED_JOBS })}</p>`}`;
}

/** @param {{worker: Worker}} props */
function Card({ worker }) {
  const { name, report, running, ended, speeds } = worker;
  const state = report ? (report.Alive === "true" ? "Alive" : "Gone") : "Unknown";
  /** @type {[string, unknown][]} */
  const facts = [
    ["worker.device", worker.device || (report?.Kind === "separation" && t("worker.noDevice"))],
    ["worker.slots", report && (report.Kind === "separation" ? t("worker.slotsOf", { n: number(report.Slots), levels: (report.Level ?? []).join(", ") || "–" }) : t("worker.delivers", { n: number(report.Slots) }))],
    ["worker.serves", (report?.Serves ?? []).join(", ")],
    ["worker.version", report?.Version],
    ["worker.since", report && time(report.Started)],
    ["worker.seen", report && t("worker.ago", { time: duration(secondsSince(report.Seen)) })],
    ["worker.ended", ended > 0 && number(ended)],
    ["job.speed", [...speeds].map(([model, { sound, ran }]) => `${model} × ${(sound / ran).toFixed(1)}`.trim()).join(", ")],
  ];
  return html`<section class="card" aria-label=${name} data-worker=${name}>
    <div class="bar"><h2 class="mono">${name}</h2><${State} name=${state} /></div>
    ${report?.Kind !== "callbacks" && (running.length > 0 || state !== "Gone") && html`<p>${running.length ? running.map((job) => html`<div key=${job.JobId}><${Link} to=${{ view: "job", job: job.JobId }}><bdi>${shownName(job.Key)}</bdi><//> ${job.Progress} % <span class="soft small">${t("worker.busy", { time: duration(secondsSince(job.Started)) })}</span></div>`) : html`<span class="soft">${t("worker.idle")}</span>`}</p>`}
    <dl class="facts" data-kind=${report?.Kind}>${facts.filter(([, value]) => value).map(([fact, value]) => html`<dt key=${fact}>${t(fact)}</dt><dd>${value}</dd>`)}</dl></section>`;
}

/**
 * @typedef {object} Worker
 * @property {string} name
 * @property {string} device what it reports, else that of its jobs; empty while it has used none
 * @property {Tree | null} report its own; null if it makes none
 * @property {Tree[]} running
 * @property {number} ended jobs among the latest
 * @property {Map<string, {sound: number, ran: number}>} speeds by model: s of audio in those that it separated, and of work for them
 */

/**
 * Whether a worker that was killed was started again under another name: on its host a later one of its kind lives.
 * @param {Tree} report
 * @param {Tree[]} reports
 */
function isReplaced(report, reports) {
  const host = (/** @type {Tree} */ each) => String(each.Name).split("@").at(-1);
  return report.Alive !== "true" && reports.some((each) => each.Alive === "true" && each.Kind === report.Kind && host(each) === host(report) && Number(each.Started) > Number(report.Seen));
}

/**
 * Return the workers that report themselves, and those that run a job without a report, with their jobs.
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
    const known = found.get(name) ?? { name, device: "", report: null, running: [], ended: 0, speeds: new Map() };
    found.set(name, known);
    return known;
  };
  for (const report of reports.filter((each) => !isReplaced(each, reports))) {
    // "auto" is a setting, which workers of earlier releases report.
    Object.assign(of(report.Name), { report, device: report.Device === "auto" ? "" : report.Device });
  }
  for (const job of running) {
    if (!job.WorkerName) continue;
    const worker = of(job.WorkerName);
    worker.running.push(job);
    worker.device ||= job.Device;
  }
  for (const job of ended) {
    const worker = found.get(job.WorkerName);
    if (!worker) continue; // it has left
    worker.ended += 1;
    worker.device ||= job.Device;
    const ran = (Number(job.Ended) - Number(job.Started)) / 1e6;
    if (!job.Duration || job.Reused || !(ran > 0)) continue; // copied stems say nothing of a network
    const model = job.Model ?? ""; // that of a worker of an earlier release is not known
    const known = worker.speeds.get(model) ?? { sound: 0, ran: 0 };
    worker.speeds.set(model, { sound: known.sound + Number(job.Duration), ran: known.ran + ran });
  }
  const isAlive = (/** @type {Worker} */ worker) => Number(worker.report?.Alive === "true" || worker.running.length > 0);
  return [...found.values()].sort((a, b) => isAlive(b) - isAlive(a) || b.running.length - a.running.length || (a.name < b.name ? -1 : 1));
}

// One job: its way through the service, its sound, its callbacks, its request and result.
import { duration, number, shownName, size, time, visible } from "../format.js";
import { go } from "../route.js";
import { t } from "../text.js";
import { Copyable } from "../parts.js";
import { Confirm, Empty, html, Lazy, Link, Problem, State, useAction, useLoad, useNews, usePage, useTitle } from "../ui.js";
import { useState } from "../vendor/hooks.js";
import { cancelJobs, repeatable, requestOf, retry, submit } from "./actions.js";
import { Deliveries } from "./delivery.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("../route.js").Route} Route */
/** @typedef {Record<string, any>} Tree */

const ENDED = ["Success", "Failed", "Cancel"];
const LOSSY = ["mp3", "aac", "amr"];
/** Loaded when there is something to play. */
const PLAYER = () => import("../player/view.js");
/** What the worker writes where there is no difference at all, dB. */
const EXACT_DB = -199;

/** @param {{route: Route}} props */
export default function JobView({ route }) {
  const { api } = usePage();
  const { turn } = useNews();
  const id = route.job ?? "";
  const [shown, setShown] = useState(/** @type {{detail: Tree, more: Tree, turn: number} | null} */ (null));
  const isEnded = shown?.more.Job.JobId === id && ENDED.includes(shown?.more.Job.State);
  const { error } = useLoad(
    async (signal) => {
      if (!id) throw new Error(t("job.noId"));
      const [found, more] = await Promise.all([
        api.call("GET", `/jobs/${id}`, { signal }),
        api.call("GET", `/console/jobs/${id}`, { signal }),
      ]);
      setShown({ detail: found.JobsDetail[0], more, turn });
    },
    [id, api, isEnded ? 0 : turn],
  );
  useTitle(shown?.more.Job.JobId === id ? `${shownName(shown.more.Job.Key)} (${t(`state.${shown.more.Job.State}`)})` : t("nav.jobs"));
  if (error && shown?.more.Job.JobId !== id) return html`<${Empty} title=${t("job.unknown")}><${Problem} error=${error} /><${Link} to=${{ view: "jobs" }}>${t("job.back")}<//><//>`;
  if (shown?.more.Job.JobId !== id) return html`<p class="soft">${t("working")}</p>`;
  return html`<${Details} ...${shown} isEnded=${isEnded} /><${Problem} error=${error} />`;
}

/** @param {{detail: Tree, more: Tree, isEnded: boolean}} props */
function Details({ detail, more, isEnded }) {
  const page = usePage();
  const job = more.Job;
  const action = useAction();
  const [asks, setAsks] = useState(false);
  const isRetry = job.State === "Failed" || job.State === "Cancel";
  const again = () => action.run(async () => go({ view: "job", job: isRetry ? await retry(page, job.JobId) : await submit(page, requestOf(detail, repeatable(more.Callback))) }));
  return html`<div class="bar">
      <h1><bdi>${shownName(job.Key)}</bdi> <${State} name=${job.State} /></h1>
      <div class="buttons">
        ${page.can("submit") && html`<button type="button" aria-disabled=${action.busy} onClick=${again}>${t(isRetry ? "job.retry" : "job.again")}</button>
          <${Link} class="button" to=${{ view: "new", from: job.JobId }}>${t("job.duplicate")}<//>`}
        ${!isEnded && page.can("cancel") && html`<button type="button" onClick=${() => setAsks(true)}>${t("job.cancel")}</button>`}
        ${page.session.FlowerUrl && html`<a class="button" href="${page.session.FlowerUrl}/task/${job.JobId}" target="_blank" rel="noopener">${t("job.flower")}</a>`}
      </div>
    </div>
    <${Problem} error=${action.error} />
    ${job.State === "Failed" && html`<div class="card" role="alert"><p class="problem"><b>${job.Code}</b><span>${job.Message}</span></p>${t(`cure.${job.Code}`, {}, "") && html`<p class="cure"><b>${t("job.cure")}</b> ${t(`cure.${job.Code}`)}</p>`}</div>`}
    <${Timeline} job=${job} attempts=${more.Attempt ?? []} />
    ${job.State === "Success" && html`<${Lazy} load=${PLAYER} more=${more} key=${job.JobId} />`}
    <div class="cards">
      <${Facts} job=${job} detail=${detail} />
      ${detail.Operation.SoundInfo && html`<${Measurements} info=${detail.Operation.SoundInfo} more=${more} />`}
    </div>
    <section class="card" aria-labelledby="callbacks"><h2 id="callbacks">${t("job.callbacks")}</h2><${Deliveries} ids=${job.JobId} key=${job.State} none=${isEnded ? "delivery.none" : "delivery.notYet"} /></section>
    <section class="card">
      <details><summary>${t("job.request")}</summary><pre tabindex="0">${JSON.stringify(requestOf(detail, more.Callback), null, 2)}</pre></details>
      <details><summary>${t("job.result")}</summary><pre tabindex="0">${JSON.stringify(detail, null, 2)}</pre></details>
    </section>
    ${asks && html`<${Confirm} title=${t("job.cancel")} text=${t("job.cancelText")} yes=${t("job.cancelYes")} onClose=${() => setAsks(false)} onYes=${() => cancelJobs(page, [job.JobId])} />`}`;
}

/** @param {{job: Tree, detail: Tree}} props */
function Facts({ job, detail }) {
  const format = detail.Operation.MediaInfo?.Format;
  /** @type {[string, unknown][]} */
  const facts = [
    ["job.id", html`<${Copyable} text=${job.JobId} />`],
    ["job.source", html`<span class="mono"><bdi>${visible(job.Key)}</bdi></span>`],
    ["column.mode", `${t(`mode.${job.Mode}`)}, ${job.Codec}`],
    ["column.level", job.Level],
    ["job.template", job.TemplateName],
    ["job.userData", job.UserData && visible(job.UserData)],
    ["job.created", time(job.Created)],
    ["job.notBefore", job.NotBefore && time(job.NotBefore)],
    ["job.deadline", job.Deadline && time(job.Deadline)],
    ["job.position", job.Position && number(job.Position)],
    ["job.expectedStart", job.EstimatedStart && t("job.about", { time: time(job.EstimatedStart) })],
    ["job.expectedEnd", job.EstimatedEnd && t("job.about", { time: time(job.EstimatedEnd) })],
    ["job.started", job.Started && time(job.Started)],
    ["job.ended", job.Ended && time(job.Ended)],
    ["job.attempt", Number(job.Attempt) > 0 && job.Attempt],
    ["job.timeout", detail.Timeout && duration(Number(detail.Timeout))],
    ["job.batch", job.BatchId && html`<${Link} to=${{ view: "batches", batch: job.BatchId }}>${job.BatchId}<//>`],
    ["job.worker", job.Worker && `${job.Worker}${job.Device ? ` · ${job.Device}` : ""}`],
    ["job.model", detail.Model],
    ["job.origin", detail.OriginJobId && html`<${Link} to=${{ view: "job", job: detail.OriginJobId }}>${detail.OriginJobId}<//>`],
    ["job.latest", detail.RetryJobId && html`<${Link} to=${{ view: "job", job: detail.RetryJobId }}>${detail.RetryJobId}<//>`],
    ["job.note", job.State !== "Failed" && (job.Message || job.WaitReason)],
    ["column.duration", format?.Duration && duration(Number(format.Duration))],
    ["job.speed", format?.Duration && job.Started && job.Ended && `× ${(Number(format.Duration) / ((Number(job.Ended) - Number(job.Started)) / 1e6)).toFixed(1)}`],
  ];
  return html`<section class="card" aria-labelledby="facts"><h2 id="facts">${t("job.facts")}</h2>
    <dl class="facts">${facts.filter(([, value]) => value).map(([name, value]) => html`<dt key=${name}>${t(name)}</dt><dd>${value}</dd>`)}</dl></section>`;
}

/** What the worker measured of the stems. @param {{info: Tree, more: Tree}} props */
function Measurements({ info, more }) {
  const codec = more.Job.Codec;
  const tracks = new Map(more.Stem.map((/** @type {Tree} */ stem) => [stem.Key, stem]));
  return html`<section class="card" aria-labelledby="measured"><h2 id="measured">${t("job.measured")}</h2>
    <div class="wide" tabindex="0" role="group" aria-labelledby="measured"><table class="table stack" aria-labelledby="measured">
      <thead><tr><th>${t("job.stem")}</th><th>${t("job.peak")}</th><th>${t("job.clipped")}</th><th>${t("job.loudness")}</th><th>${t("job.size")}</th></tr></thead>
      <tbody>${(info.Stem ?? []).map((/** @type {Tree} */ stem) => {
        const file = /** @type {Tree | undefined} */ (tracks.get(stem.ObjectName));
        return html`<tr key=${stem.ObjectName}><td data-label=${t("job.stem")}>${file ? t(`track.${file.Track}`) : stem.ObjectName}</td>
          <td data-label=${t("job.peak")}>${stem.PeakDb ? `${stem.PeakDb} dBFS` : t("job.silence")}</td><td data-label=${t("job.clipped")}>${number(stem.ClippedSamples)}</td>
          <td data-label=${t("job.loudness")}>${stem.LoudnessLufs ? `${stem.LoudnessLufs} LUFS` : "–"}</td><td data-label=${t("job.size")}>${file ? size(Number(file.Size)) : ""}</td></tr>`;
      })}</tbody></table></div>
    ${(info.Stem ?? []).filter((/** @type {Tree} */ stem) => stem.Doubt).map((/** @type {Tree} */ stem) => {
      const file = /** @type {Tree | undefined} */ (tracks.get(stem.ObjectName));
      return html`<p class="problem" key=${stem.ObjectName}>${t(`job.doubt.${stem.Doubt}`, { stem: file ? t(`track.${file.Track}`) : stem.ObjectName })}</p>`;
    })}
    ${info.ResidualDb && html`<p class="soft">${t("job.residual", { db: info.ResidualDb })}</p>`}
    ${info.NullTestDb && html`<p class="soft">${Number(info.NullTestDb) <= EXACT_DB ? t("job.nullExact") : t("job.null", { db: info.NullTestDb })} ${LOSSY.includes(codec) ? t("job.nullLossy", { codec }) : ""}</p>`}</section>`;
}

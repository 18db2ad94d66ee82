// The way of a job through the service: how long it waited, and the attempts with their stages.
import { duration, time } from "../format.js";
import { t } from "../text.js";
import { html, useNow } from "../ui.js";

/** @typedef {Record<string, any>} Tree */
/** @typedef {{kind: string, from: number, to: number}} Span `kind` is "waited", "start" (before the first stage), "ran" (where stages are not known), or a stage; µs since the epoch */
/** @typedef {{worker: string, from: number, to: number, outcome: string, reason: string, spans: Span[]}} Attempt */

/** Shares of the bar that are wide enough for a text. */
const LABELLED = 0.12;
/** The smallest share of the bar that a span takes, so that it can be seen and pointed at. */
const LEAST = 0.02;

/**
 * Return the attempts of a job with their stages.
 * @param {Tree} job
 * @param {Tree[]} attempts
 * @param {number} now µs
 * @returns {Attempt[]}
 */
export function attemptsOf(job, attempts, now) {
  return attempts.map((attempt) => {
    const [from, to] = [Number(attempt.Started), Number(attempt.Ended ?? job.Ended ?? now)];
    const stages = (attempt.Stage ?? []).map((/** @type {Tree} */ stage) => ({ kind: stage.Name, from: Number(stage.Started) }));
    const begun = [{ kind: stages.length ? "start" : "ran", from }, ...stages].filter(({ from: at }, i, all) => at < (all[i + 1]?.from ?? to));
    const spans = begun.map(({ kind, from: at }, i) => ({ kind, from: at, to: Math.max(at, begun[i + 1]?.from ?? to) }));
    return { worker: attempt.Worker, from, to, outcome: attempt.Outcome ?? "", reason: attempt.Reason ?? "", spans };
  });
}

/**
 * Return what a job did from its submission on, without gaps.
 * @param {Tree} job
 * @param {Attempt[]} attempts
 * @param {number} now µs
 * @returns {Span[]}
 */
export function spansOf(job, attempts, now) {
  /** @type {Span[]} */
  const found = [];
  let at = Number(job.Created);
  for (const attempt of attempts) {
    if (attempt.from > at) found.push({ kind: "waited", from: at, to: attempt.from });
    found.push(...attempt.spans);
    at = Math.max(at, attempt.to);
  }
  const end = Number(job.Ended ?? now);
  if (!attempts.length && job.Started) {
    // A job of an earlier release, whose attempts are not kept.
    const started = Number(job.Started);
    return [{ kind: "waited", from: at, to: started }, { kind: "ran", from: started, to: end }];
  }
  if (end > at && job.State !== "Running") found.push({ kind: "waited", from: at, to: end });
  return found;
}

/** @param {{job: Tree, attempts: Tree[]}} props */
export function Timeline({ job, attempts: kept }) {
  const now = useNow(500, !job.Ended);
  const attempts = attemptsOf(job, kept, now);
  const spans = spansOf(job, attempts, now);
  const total = spans.reduce((sum, span) => sum + span.to - span.from, 0) || 1;
  return html`<section class="card timeline" aria-labelledby="timeline"><h2 id="timeline">${t("job.timeline")}</h2>
    <div class="times" role="img" aria-label=${spans.map(described).join(", ")}>
      ${spans.map((span, i) => {
        const share = (span.to - span.from) / total;
        return html`<div key=${i} class="span at-${span.kind}" style=${{ flexGrow: Math.max(share, LEAST) * 1000 }} title=${`${described(span)} · ${time(span.from)}`}>${share > LABELLED ? described(span) : ""}</div>`;
      })}
    </div>
    ${attempts.length > 0 && html`<ol class="attempts">${attempts.map((attempt, i) => html`<${Row} key=${i} attempt=${attempt} said=${job.State === "Failed" ? job.Message : ""} />`)}</ol>`}
    ${job.State === "Running" && html`<p><progress max="100" value=${job.Progress} aria-label=${t("column.progress")}></progress> ${job.Stage ? `${t(`stage.${job.Stage}`)} · ` : ""}${job.Progress} %</p>`}
  </section>`;
}

/** `said` is what the page shows elsewhere already. @param {{attempt: Attempt, said: string}} props */
function Row({ attempt, said }) {
  const { worker, from, to, outcome, reason, spans } = attempt;
  return html`<li><div class="bar">
      <span><b>${t(`outcome.${outcome || "Running"}`)}</b> ${t("attempt.on", { worker })}</span>
      <span class="soft small">${time(from)} · ${duration((to - from) / 1e6)}</span></div>
    <div class="stages">${spans.map((span, i) => html`<span key=${i} class="small"><i class="dot at-${span.kind}" aria-hidden="true"></i>${described(span)}</span>`)}</div>
    ${reason && !(said && reason.endsWith(said)) && html`<p class="soft small">${reason}</p>`}</li>`;
}

/** What a span is, and how long it is. @param {Span} span */
function described({ kind, from, to }) {
  const text = duration((to - from) / 1e6);
  return kind === "waited" ? t("job.waited", { time: text }) : `${t(`stage.${kind}`)} ${text}`;
}

// The jobs of the bucket: counts by state that filter, a search, and the list.
import { number } from "../format.js";
import { go } from "../route.js";
import { t } from "../text.js";
import { Confirm, html, Link, Problem, useAction, useNews, usePage } from "../ui.js";
import { useState } from "../vendor/hooks.js";
import { JobList } from "./job_list.js";
import { useSelection } from "./selection.js";

/** @typedef {import("../route.js").Route} Route */

/** What buttons do, loaded with the first of them. */
const actions = () => import("./actions.js");
/** The filters by state; waiting jobs are Submitted, or Pause in a paused queue. */
const FILTERS = [
  { state: "", names: ["Submitted", "Pause", "Running", "Success", "Failed", "Cancel"] },
  { state: "Submitted", names: ["Submitted", "Pause"] },
  { state: "Running", names: ["Running"] },
  { state: "Success", names: ["Success"] },
  { state: "Failed", names: ["Failed"] },
  { state: "Cancel", names: ["Cancel"] },
];

/** @param {{route: Route}} props */
export function Jobs({ route }) {
  const page = usePage();
  const { overview } = useNews();
  const [selected, setSelected] = useSelection(route);
  const [asks, setAsks] = useState("");
  const counts = Object.fromEntries((overview?.State ?? []).map((/** @type {any} */ each) => [each.Name, Number(each.Jobs)]));
  /** @param {string[]} names */
  const count = (names) => names.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
  const waiting = count(["Submitted", "Pause"]);
  /** @param {string[]} states */
  const chosen = (states) => [...selected].filter(([, state]) => states.includes(state)).map(([id]) => id);
  const open = page.can("cancel") ? chosen(["Submitted", "Pause", "Running"]) : [];
  const retriable = page.can("submit") ? chosen(["Failed", "Cancel"]) : [];
  return html`<h1 class="hidden">${t("nav.jobs")}</h1>
    <div class="bar">
      <div class="filters" role="group" aria-label=${t("jobs.filter")}>
        ${FILTERS.map(({ state, names }) => html`<button type="button" key=${state} class="filter ${state}"
            aria-pressed=${(route.state ?? "") === state} onClick=${() => go({ ...route, state })}>
            ${t(state ? `filter.${state}` : "filter.all")} <b>${overview ? number(count(names)) : "…"}</b>
          </button>`)}
      </div>
      ${page.can("submit") && html`<${Link} to=${{ view: "new" }} class="button primary main-action">${t("jobs.new")}<//>`}
    </div>
    <${Search} route=${route} key=${`${route.text ?? ""}|${route.from ?? ""}|${route.to ?? ""}`} />
    ${(page.can("cancel") || page.can("submit")) && html`<div class="bar bulk">
      <span class="soft" aria-live="polite">${selected.size ? t("jobs.selected", { n: number(selected.size) }) : ""}</span>
      ${selected.size > 0 && html`${open.length > 0 && html`<button type="button" onClick=${() => setAsks("selected")}>${t("jobs.cancelSelected")}</button>`}
        ${retriable.length > 0 && html`<button type="button" onClick=${() => setAsks("retry")}>${t("jobs.retrySelected")}</button>`}
        <button type="button" onClick=${() => setSelected(new Map())}>${t("jobs.selectNone")}</button>`}
      ${waiting > 0 && !route.text && page.can("cancel") && html`<${CancelWaiting} route=${route} waiting=${waiting} />`}
      ${route.state === "Failed" && !route.text && page.can("submit") && html`<${RetryAll} route=${route} />`}
    </div>`}
    <${JobList} route=${route} selected=${selected} onSelect=${setSelected} />
    ${asks === "selected" && html`<${Confirm} title=${t("jobs.cancelSelected")} text=${t("jobs.cancelText", { n: number(open.length) })} yes=${t("jobs.cancelYes")}
      onClose=${() => setAsks("")} onYes=${async () => {
        await (await actions()).cancelJobs(page, open);
        setSelected(new Map());
      }} />`}
    ${asks === "retry" && html`<${Confirm} title=${t("jobs.retrySelected")} text=${t("jobs.retrySelectedText", { n: number(retriable.length) })} yes=${t("jobs.retryYes")}
      onClose=${() => setAsks("")} onYes=${async () => {
        page.say(t("jobs.retried", { n: number(await (await actions()).retryJobs(page, retriable)) }));
        setSelected(new Map());
      }} />`}`;
}

/** Whether a list shows jobs of a queue, a batch or some days alone: what is done to all of it is done to these. @param {Route} route */
const isPart = (route) => Boolean(route.queue || route.batch || route.from || route.to);

/** Cancel all waiting jobs of the list, after a count. @param {{route: Route, waiting: number}} props `waiting` is of the whole bucket */
function CancelWaiting({ route, waiting }) {
  const page = usePage();
  const name = isPart(route) ? t("jobs.cancelFound") : t("jobs.cancelWaiting", { n: number(waiting) });
  return html`<${Counted} name=${name} title=${t(isPart(route) ? "jobs.cancelFound" : "jobs.cancelAll")} text="jobs.cancelText" yes=${t("jobs.cancelYes")}
    count=${async () => (await actions()).countWaiting(page.api, (await actions()).whichOf(route))}
    onYes=${async () => (await actions()).cancelWaiting(page, (await actions()).whichOf(route))} />`;
}

/** Retry all failed jobs of the list, after a count of those that were not retried yet. @param {{route: Route}} props */
function RetryAll({ route }) {
  const page = usePage();
  const name = t(isPart(route) ? "jobs.retryFound" : "jobs.retryAll");
  return html`<${Counted} name=${name} title=${name} text="jobs.retryText" yes=${t("jobs.retryYes")}
    count=${async () => (await actions()).countRetriable(page.api, (await actions()).whichOf(route))}
    onYes=${async () => page.say(t("jobs.retried", { n: number(await (await actions()).retryFailed(page, (await actions()).whichOf(route))) }))} />`;
}

/** A button for many jobs, which says how many before it does anything. @param {{name: string, title: string, text: string, yes: string, count: () => Promise<number>, onYes: () => Promise<void>}} props */
function Counted({ name, title, text, yes, count, onYes }) {
  const page = usePage();
  const action = useAction();
  const [found, setFound] = useState(0);
  const ask = () => action.run(async () => {
    const jobs = await count();
    if (jobs) setFound(jobs);
    else page.say(t("jobs.noneOfThem"));
  });
  return html`<button type="button" aria-disabled=${action.busy} onClick=${ask}>${name}</button><${Problem} error=${action.error} />
    ${found > 0 && html`<${Confirm} title=${title} text=${t(text, { n: number(found) })} yes=${yes} onClose=${() => setFound(0)} onYes=${onYes} />`}`;
}

/** @param {{route: Route}} props */
function Search({ route }) {
  const { api } = usePage();
  const action = useAction();
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const values = Object.fromEntries(["text", "from", "to"].map((name) => [name, String(form.get(name) ?? "").trim()]));
    action.run(async () => {
      if (/^j[0-9a-f]{32}$/.test(values.text ?? "")) {
        const found = await api.call("GET", `/jobs/${values.text}`);
        if (found.JobsDetail?.length) return go({ view: "job", job: values.text });
        throw new Error(t("jobs.unknownId"));
      }
      go({ view: "jobs", state: route.state, batch: route.batch, queue: route.queue, ...values });
    });
  };
  const isActive = Boolean(route.text || route.from || route.to || route.queue || route.batch);
  return html`<form class="search" role="search" onSubmit=${submit}>
    <input name="text" type="search" value=${route.text ?? ""} placeholder=${t("jobs.search")} aria-label=${t("jobs.search")} maxlength="200" />
    <label><span>${t("jobs.from")}</span> <input name="from" type="date" value=${route.from ?? ""} /></label>
    <label><span>${t("jobs.to")}</span> <input name="to" type="date" value=${route.to ?? ""} /></label>
    <button>${t("jobs.find")}</button>
    ${route.batch && html`<span class="soft small">${t("jobs.ofBatch")} <${Link} to=${{ view: "batches", batch: route.batch }}><span class="mono">${route.batch}</span><//></span>`}
    ${route.queue && html`<span class="soft small">${t("jobs.ofQueue")} <${Link} to=${{ view: "queues" }}><span class="mono">${route.queue}</span><//></span>`}
    ${isActive && html`<button type="button" onClick=${() => go({ view: "jobs", state: route.state })}>${t("jobs.clear")}</button>`}
    <${Problem} error=${action.error} />
  </form>`;
}

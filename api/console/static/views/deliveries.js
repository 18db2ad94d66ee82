// Callbacks of the bucket: by state, host and time, each or all sent again.
import { number, wireTime } from "../format.js";
import { go, pageOf } from "../route.js";
import { t } from "../text.js";
import { Confirm, Empty, html, Link, Problem, useLoad, useNews, usePage } from "../ui.js";
import { useState } from "../vendor/hooks.js";
import { Delivery, Deliveries as Found, isPending, useAgain } from "./delivery.js";

/** @typedef {Record<string, any>} Tree */

const PAGE = 20;
/** Filters; the first is what needs somebody: what fails is still tried, or was given up. */
const STATES = ["Pending,Dead", "Pending", "Dead", "Delivered", "All"];
const COUNTED = ["Pending", "Dead", "Delivered"];
/** Jobs that one request names. */
const JOBS_AT_ONCE = 10;

/** @param {{route: import("../route.js").Route}} props */
export default function DeliveriesView({ route }) {
  const page = usePage();
  const [asks, setAsks] = useState(false);
  const { turn } = useNews();
  const place = pageOf(route);
  const startTime = wireTime(route.since, "00:00:00");
  const states = STATES.includes(route.states ?? "") ? route.states : STATES[0];
  const filter = { states, host: route.host, startTime };
  const { value, error, reload } = useLoad((signal) => page.api.call("GET", "/callbacks", { query: { ...filter, pageNumber: place, pageSize: PAGE }, signal }), [page.api, states, route.host, route.since, place, turn]);
  const counts = useLoad(async (signal) => {
    /** @param {string} state */
    const count = async (state) => Number((await page.api.call("GET", "/callbacks", { query: { states: state, host: route.host, startTime, pageSize: 1 }, signal })).TotalCount ?? 0);
    return Object.fromEntries(await Promise.all(COUNTED.map(async (state) => [state, await count(state)])));
  }, [page.api, route.host, route.since, turn, value]);
  /** @param {string} filter */
  const countOf = (filter) => counts.value && (filter === "All" ? COUNTED : filter.split(",")).reduce((sum, state) => sum + counts.value?.[state], 0);
  const names = useLoad((signal) => namesOf(page.api, value?.CallbackList ?? [], signal), [page.api, (value?.CallbackList ?? []).map((/** @type {Tree} */ each) => each.JobId).join()]);
  useAgain(reload, (value?.CallbackList ?? []).some(isPending));
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    go({ view: "deliveries", states: route.states, ...Object.fromEntries(["host", "since", "id"].map((name) => [name, String(form.get(name) ?? "").trim()])) });
  };
  const total = Number(value?.TotalCount ?? 0);
  // What failed is first, then what was not tried yet.
  const found = states === STATES[0] ? [...(value?.CallbackList ?? [])].sort((a, b) => trouble(b) - trouble(a)) : (value?.CallbackList ?? []);
  return html`<div class="bar"><h1>${t("nav.deliveries")}</h1></div>
    <div class="filters" role="group" aria-label=${t("deliveries.states")}>${STATES.map((each) => html`<button type="button" key=${each} class="filter" aria-pressed=${states === each} onClick=${() => go({ ...route, states: each, page: undefined })}>${t(each === "All" ? "filter.all" : each === STATES[0] ? "deliveries.attention" : `state.${each}`)} <b>${counts.value ? number(countOf(each)) : "…"}</b></button>`)}</div>
    <form class="search" role="search" onSubmit=${submit}>
      <input name="id" type="search" value=${route.id ?? ""} placeholder=${t("deliveries.id")} aria-label=${t("deliveries.id")} />
      <input name="host" type="search" value=${route.host ?? ""} placeholder=${t("deliveries.host")} aria-label=${t("deliveries.host")} />
      <label><span>${t("deliveries.since")}</span> <input name="since" type="date" value=${route.since ?? ""} /></label>
      <button>${t("jobs.find")}</button>
      ${(route.host || route.since || route.id) && html`<button type="button" onClick=${() => go({ view: "deliveries", states: route.states })}>${t("jobs.clear")}</button>`}
    </form>
    ${route.id && html`<section class="card"><${Found} ids=${route.id} key=${route.id} none="deliveries.noneOfId" /></section>`}
    <${Problem} error=${error} />
    ${value && !found.length && total > 0 && html`<${Empty} title=${t("deliveries.noPage")}><${Link} to=${{ ...route, page: undefined }}>${t("deliveries.first")}<//><//>`}
    ${value && !total && !route.id && html`<${Empty} title=${t(states === STATES[0] ? "deliveries.none" : "deliveries.noneFound")}><p>${t("deliveries.noneHint")}</p><//>`}
    ${found.length > 0 && html`<section class="card" aria-labelledby="found">
      <div class="bar"><h2 id="found">${t("deliveries.total", { n: number(total) })}</h2>
        ${page.can("callbacks") && html`<button type="button" onClick=${() => setAsks(true)}>${t("deliveries.replay", { n: number(total) })}</button>`}</div>
      ${found.map((/** @type {Tree} */ each) => html`<${Delivery} key=${each.CallbackId} delivery=${each} reload=${reload} names=${names.value ?? NO_NAMES} />`)}
      <div class="buttons">
        <button type="button" disabled=${place <= 1} onClick=${() => go({ ...route, page: place - 1 })}>${t("deliveries.newer")}</button>
        <button type="button" disabled=${place * PAGE >= total} onClick=${() => go({ ...route, page: place + 1 })}>${t("deliveries.older")}</button>
      </div></section>`}
    ${asks && html`<${Confirm} title=${t("deliveries.replay", { n: number(total) })} text=${t("deliveries.replayText", { n: number(total) })} yes=${t("delivery.resend")} onClose=${() => setAsks(false)} onYes=${async () => {
      const answer = await page.api.call("POST", "/bulk/callbacks/send", { query: filter });
      page.say(t("deliveries.replayed", { n: number(answer.ChangedCount) }));
      reload();
    }} />`}`;
}

/** @param {Tree} delivery */
function trouble({ State, Attempt }) {
  return State === "Dead" ? 2 : Number((Attempt ?? []).length > 0);
}

/** @type {Map<string, string>} */
const NO_NAMES = new Map();

/** The keys of the jobs that callbacks announce, by the jobs' ids; of those that are still known. @param {import("../api.js").Api} api @param {Tree[]} deliveries @param {AbortSignal} signal */
async function namesOf(api, deliveries, signal) {
  const ids = deliveries.map((each) => String(each.JobId ?? "")).filter((id) => id.startsWith("j"));
  const parts = Array.from({ length: Math.ceil(ids.length / JOBS_AT_ONCE) }, (_, i) => ids.slice(i * JOBS_AT_ONCE, (i + 1) * JOBS_AT_ONCE));
  const found = await Promise.all(parts.map((part) => api.call("GET", `/jobs/${part.join(",")}`, { signal })));
  return new Map(found.flatMap((each) => each.JobsDetail ?? []).map((job) => [String(job.JobId), String(job.Input.Object)]));
}

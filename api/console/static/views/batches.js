// Batches: many jobs that are submitted, watched and stopped as one.
import { micros, number, time, visible } from "../format.js";
import { go, pageOf } from "../route.js";
import { t } from "../text.js";
import { Confirm, Empty, html, Link, Problem, State, useAction, useLoad, useNews, usePage, useTitle } from "../ui.js";
import { useState } from "../vendor/hooks.js";
import { Deliveries } from "./delivery.js";

/** @typedef {Record<string, any>} Tree */

const PAGE = 20;
const COUNTS = ["Waiting", "Running", "Success", "Failed", "Cancel"];

/** @param {{route: import("../route.js").Route}} props */
export default function Batches({ route }) {
  return route.batch ? html`<${One} id=${route.batch} key=${route.batch} />` : html`<${List} route=${route} />`;
}

/** @param {{route: import("../route.js").Route}} props */
function List({ route }) {
  const { api } = usePage();
  const { turn } = useNews();
  const place = pageOf(route);
  const { value, error } = useLoad((signal) => api.call("GET", "/batches", { query: { pageNumber: place, pageSize: PAGE }, signal }), [api, turn, place]);
  if (!value) return error ? html`<${Problem} error=${error} />` : html`<p class="soft">${t("working")}</p>`;
  const total = Number(value.TotalCount ?? 0);
  const found = value.BatchList ?? [];
  return html`<div class="bar"><h1>${t("nav.batches")}</h1></div><${Problem} error=${error} />
    ${!total && html`<${Empty} title=${t("batch.none")}><p>${t("batch.noneHint")}</p><code class="mono">stemline batches create --list keys.txt</code><//>`}
    ${total > 0 && !found.length && html`<${Empty} title=${t("batch.noPage")}><${Link} to=${{ view: "batches" }}>${t("batch.back")}<//><//>`}
    ${found.map((/** @type {Tree} */ batch) => html`<section key=${batch.BatchId} class="card" aria-label=${titleOf(batch)} data-batch=${batch.BatchId}>
      <div class="bar"><h2><${Link} to=${{ view: "batches", batch: batch.BatchId }}><bdi>${titleOf(batch)}</bdi><//></h2><${State} name=${batch.State} /></div>
      <${Progress} batch=${batch} /></section>`)}
    ${total > PAGE && html`<div class="buttons">
      <button type="button" disabled=${place <= 1} onClick=${() => go({ ...route, page: place - 1 })}>${t("deliveries.newer")}</button>
      <button type="button" disabled=${place * PAGE >= total} onClick=${() => go({ ...route, page: place + 1 })}>${t("deliveries.older")}</button></div>`}`;
}

/** @param {{id: string}} props */
function One({ id }) {
  const page = usePage();
  const { turn } = useNews();
  const action = useAction();
  const [asks, setAsks] = useState("");
  const { value, error, reload } = useLoad((signal) => page.api.call("GET", `/batches/${id}`, { signal }), [page.api, id, turn]);
  const batch = value?.Batch;
  useTitle(batch ? titleOf(batch) : t("nav.batches"));
  if (!batch) return error ? html`<${Empty} title=${t("batch.unknown")}><${Problem} error=${error} /><${Link} to=${{ view: "batches" }}>${t("batch.back")}<//><//>` : html`<p class="soft">${t("working")}</p>`;
  const isOver = batch.State === "Done" || batch.State === "Cancel";
  const failed = Number(batch.FailedCount);
  /** @param {string} what */
  const change = async (what) => {
    let more = await page.api.call("POST", `/batches/${id}/${what}`);
    while (more.NextToken) more = await page.api.call("POST", `/batches/${id}/${what}`);
    page.events.poke();
    reload();
  };
  /** @param {string} what */
  const run = (what) => () => action.run(() => change(what));
  return html`<div class="bar"><h1><bdi>${titleOf(batch)}</bdi> <${State} name=${batch.State} /></h1>
      <div class="buttons">
        <${Link} class="button" to=${{ view: "jobs", batch: id }}>${t("batch.jobs")}<//>
        ${!isOver && page.can("cancel") && html`<button type="button" aria-disabled=${action.busy} onClick=${run(batch.State === "Paused" ? "resume" : "pause")}>${t(batch.State === "Paused" ? "queue.resume" : "queue.pause")}</button>
          <button type="button" onClick=${() => setAsks("cancel")}>${t("job.cancel")}</button>`}
        ${failed > 0 && page.can("submit") && html`<button type="button" onClick=${() => setAsks("retry")}>${t("batch.retry", { n: number(failed) })}</button>`}
      </div></div>
    <${Problem} error=${action.error ?? error} />
    <section class="card" aria-label=${t("column.progress")}><${Progress} batch=${batch} isOne /></section>
    <section class="card" aria-labelledby="callbacks"><h2 id="callbacks">${t("job.callbacks")}</h2><${Deliveries} ids=${id} key=${batch.State} none=${isOver ? "batch.noCallback" : "delivery.notYet"} /></section>
    ${asks === "cancel" && html`<${Confirm} title=${t("job.cancel")} text=${t("jobs.cancelText", { n: number(Number(batch.WaitingCount) + Number(batch.RunningCount)) })} yes=${t("jobs.cancelYes")} onClose=${() => setAsks("")} onYes=${() => change("cancel")} />`}
    ${asks === "retry" && html`<${Confirm} title=${t("batch.retry", { n: number(failed) })} text=${t("batch.retryText", { n: number(failed) })} yes=${t("jobs.retryYes")} onClose=${() => setAsks("")} onYes=${() => change("retry")} />`}`;
}

/** Rows by the state of their job. @param {{batch: Tree, isOne?: boolean}} props */
function Progress({ batch, isOne }) {
  const link = (/** @type {string} */ name) => ({ view: "jobs", batch: batch.BatchId, state: name === "Waiting" ? "Submitted" : name });
  return html`<progress max="100" value=${batch.Progress} aria-label=${t("progressOf", { name: titleOf(batch) })}></progress>
    <div class="numbers"><div><span>${t("batch.rows")}</span><b class="number">${number(batch.RowCount)}</b></div>
      ${COUNTS.map((name) => html`<div key=${name}><span>${t(`filter.${name === "Waiting" ? "Submitted" : name}`)}</span>${isOne ? html`<${Link} class="number" to=${link(name)}>${number(batch[`${name}Count`])}<//>` : html`<b class="number">${number(batch[`${name}Count`])}</b>`}</div>`)}
    </div>
    <p class="soft small">${t("job.created")} ${time(micros(batch.CreationTime))}${micros(batch.EndTime) ? ` · ${t("job.ended")} ${time(micros(batch.EndTime))}` : ""} · <span class="mono">${batch.BatchId}</span></p>`;
}

/** @param {Tree} batch */
function titleOf(batch) {
  return (batch.Name && visible(batch.Name)) || t("batch.unnamed", { id: String(batch.BatchId).slice(0, 8) });
}

// What the jobs of the bucket took, by credential and day.
import { duration, number, size } from "../format.js";
import { go } from "../route.js";
import { t } from "../text.js";
import { Empty, html, Problem, useAction, useLoad, usePage } from "../ui.js";

/** @typedef {Record<string, any>} Tree */
/** @typedef {{jobs: number, succeeded: number, failed: number, audio: number, bytesIn: number, bytesOut: number, work: Map<string, number>}} Sums */

/** Add up days. @param {Tree[]} rows @returns {Sums} */
export function sumsOf(rows) {
  /** @param {string} name */
  const sum = (name) => rows.reduce((all, row) => all + Number(row[name]), 0);
  /** @type {Map<string, number>} */
  const work = new Map();
  for (const row of rows)
    for (const { Device, Seconds } of row.Work ?? []) work.set(Device, (work.get(Device) ?? 0) + Number(Seconds));
  return { jobs: sum("JobCount"), succeeded: sum("SuccessCount"), failed: sum("FailedCount"), audio: sum("AudioSeconds"), bytesIn: sum("BytesIn"), bytesOut: sum("BytesOut"), work };
}

/** @param {{route: import("../route.js").Route}} props */
export default function Usage({ route }) {
  const page = usePage();
  const saving = useAction();
  const query = { from: route.from, to: route.to };
  const { value, error } = useLoad((signal) => page.api.call("GET", "/usage", { query, signal }), [page.api, route.from, route.to]);
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    go({ view: "usage", from: String(form.get("from") ?? ""), to: String(form.get("to") ?? "") });
  };
  const csv = () => saving.run(async () => {
    const answer = await page.api.open("/usage", { query: { ...query, format: "csv" }, signal: AbortSignal.timeout(30_000) });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = "usage.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
  const rows = [...(value?.UsageList ?? [])].reverse();
  return html`<div class="bar"><h1>${t("nav.usage")}</h1>
      ${rows.length > 0 && html`<button type="button" aria-disabled=${saving.busy} onClick=${csv}>↓ CSV</button>`}</div>
    <form class="search" onSubmit=${submit}>
      <label><span>${t("jobs.from")}</span> <input name="from" type="date" value=${route.from ?? ""} /></label>
      <label><span>${t("jobs.to")}</span> <input name="to" type="date" value=${route.to ?? ""} /></label>
      <button>${t("usage.show")}</button>
      <span class="soft small">${t("usage.days")}</span>
    </form>
    <${Problem} error=${error ?? saving.error} />
    ${!value && !error && html`<p class="soft">${t("working")}</p>`}
    ${(value?.Budget ?? []).filter((/** @type {Tree} */ each) => Number(each.BudgetPercent) >= 90).map((/** @type {Tree} */ each) => html`<p key=${each.Credential} class="card" role="status">${t("usage.budget", { credential: each.Credential, percent: each.BudgetPercent })}</p>`)}
    ${value && !rows.length && html`<${Empty} title=${t("usage.none")}><p>${t("usage.noneHint")}</p><//>`}
    ${rows.length > 0 && html`<${Sums} sums=${sumsOf(rows)} />
      <div class="card wide" tabindex="0" role="group" aria-label=${t("nav.usage")}><table class="table tight stack many" aria-label=${t("nav.usage")}>
      <thead><tr><th>${t("usage.day")}</th><th>${t("usage.credential")}</th>${["nav.jobs", "state.Success", "state.Failed", "usage.audio", "usage.in", "usage.out", "usage.work"].map((name) => html`<th key=${name} class="right">${t(name)}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => {
        const sums = sumsOf([row]);
        return html`<tr key=${row.Date + row.Credential}><td data-label=${t("usage.day")}>${row.Date}</td><td data-label=${t("usage.credential")} class="mono">${row.Credential || "–"}</td>
          <td data-label=${t("nav.jobs")} class="right">${number(sums.jobs)}</td><td data-label=${t("state.Success")} class="right">${number(sums.succeeded)}</td><td data-label=${t("state.Failed")} class="right">${number(sums.failed)}</td><td data-label=${t("usage.audio")} class="right">${duration(sums.audio)}</td>
          <td data-label=${t("usage.in")} class="right">${size(sums.bytesIn)}</td><td data-label=${t("usage.out")} class="right">${size(sums.bytesOut)}</td><td data-label=${t("usage.work")} class="right">${[...sums.work].map(([device, seconds]) => html`<div key=${device} title=${device}>${duration(seconds)}</div>`)}</td></tr>`;
      })}</tbody></table></div>`}`;
}

/** @param {{sums: Sums}} props */
function Sums({ sums }) {
  const work = [...sums.work.values()].reduce((all, seconds) => all + seconds, 0);
  /** @type {[string, string][]} */
  const shown = [["nav.jobs", number(sums.jobs)], ["state.Success", number(sums.succeeded)], ["state.Failed", number(sums.failed)], ["usage.audio", duration(sums.audio)], ["usage.in", size(sums.bytesIn)], ["usage.out", size(sums.bytesOut)], ["usage.work", duration(work)]];
  return html`<section class="card" aria-label=${t("usage.sum")}><div class="numbers">${shown.map(([name, text]) => html`<div key=${name}><span>${t(name)}</span><b class="number">${text}</b></div>`)}</div></section>`;
}

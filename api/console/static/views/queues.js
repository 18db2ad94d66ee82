// The queues of the bucket: what waits and runs, and the switches of each.
import { now, secondsSince } from "../clock.js";
import { duration, number, time } from "../format.js";
import { go } from "../route.js";
import { t } from "../text.js";
import { Field } from "../parts.js";
import { Confirm, Dialog, Empty, html, Problem, State, useAction, useColours, useLoad, useNews, usePage } from "../ui.js";
import { useEffect, useRef, useState } from "../vendor/hooks.js";
import { cancelWaiting } from "./actions.js";

/** @typedef {Record<string, any>} Tree */

const MINUTES = 30;

export default function Queues() {
  const { api } = usePage();
  const { overview, turn } = useNews();
  const { value, error, reload } = useLoad((signal) => api.call("GET", "/asrqueue", { query: { pageSize: 100 }, signal }), [api, turn]);
  const recent = useLoad((signal) => api.call("GET", "/console/jobs", { query: { state: "Success", size: 200 }, signal }), [api, turn]);
  if (!value) return error ? html`<${Problem} error=${error} />` : html`<p class="soft">${t("working")}</p>`;
  const queues = value.QueueList ?? [];
  const loads = new Map((overview?.Queue ?? []).map((/** @type {Tree} */ load) => [load.QueueId, load]));
  return html`<div class="bar"><h1>${t("nav.queues")}</h1></div><${Problem} error=${error} />
    ${queues.length ? html`<div class="cards">${queues.map((/** @type {Tree} */ queue) => html`<${Queue} key=${queue.QueueId} queue=${queue} load=${loads.get(queue.QueueId) ?? {}} jobs=${recent.value?.Job ?? []} reload=${reload} />`)}</div>` : html`<${Empty} title=${t("queue.none")} />`}`;
}

/** @param {{queue: Tree, load: Tree, jobs: Tree[], reload: () => void}} props */
function Queue({ queue, load, jobs, reload }) {
  const page = usePage();
  const action = useAction();
  const [asks, setAsks] = useState("");
  const [low = "0", middle = "0", high = "0"] = load.Waiting ?? [];
  const later = Number(load.Later ?? 0);
  const waiting = [low, middle, high].reduce((sum, each) => sum + Number(each), later);
  const isPaused = queue.State === "Paused";
  const turn = () => action.run(async () => {
    await page.api.call("PUT", `/asrqueue/${queue.QueueId}`, { body: { Name: queue.Name, State: isPaused ? "Active" : "Paused" } });
    page.events.poke();
    reload();
  });
  return html`<section class="card" aria-label=${queue.Name} data-queue=${queue.QueueId}>
    <div class="bar"><h2>${queue.Name}</h2><${State} name=${queue.State} /></div>
    <div class="numbers">
      <div><span>${t("queue.waiting")}</span><b class="number">${number(waiting)}</b> / ${number(queue.MaxSize)}</div>
      <div><span>${t("queue.running")}</span><b class="number">${number(load.Running ?? 0)}</b> / ${number(queue.MaxConcurrent)}</div>
      <div><span>${t("queue.oldest")}</span><b class="number">${load.Oldest ? duration(secondsSince(load.Oldest)) : "–"}</b></div>
    </div>
    <p class="soft">${t("queue.levels", { high: number(high), middle: number(middle), low: number(low) })}${later > 0 && ` · ${t("queue.later", { n: number(later) })}`}</p>
    <${Throughput} jobs=${jobs.filter((job) => job.QueueId === queue.QueueId)} />
    <${Problem} error=${action.error} />
    <div class="buttons">
      <button type="button" onClick=${() => go({ view: "jobs", queue: queue.QueueId })}>${t("queue.show")}</button>
      ${page.can("queues") && html`<button type="button" aria-disabled=${action.busy} onClick=${turn}>${t(isPaused ? "queue.resume" : "queue.pause")}</button>
        <button type="button" onClick=${() => setAsks("edit")}>${t("edit")}</button>`}
      ${page.can("cancel") && waiting > 0 && html`<button type="button" onClick=${() => setAsks("cancel")}>${t("jobs.cancelWaiting", { n: number(waiting) })}</button>`}
    </div>
    ${asks === "edit" && html`<${Edit} queue=${queue} onClose=${() => setAsks("")} reload=${reload} />`}
    ${asks === "cancel" && html`<${Confirm} title=${t("jobs.cancelAll")} text=${t("jobs.cancelText", { n: number(waiting) })} yes=${t("jobs.cancelYes")} onClose=${() => setAsks("")} onYes=${() => cancelWaiting(page, { queueId: queue.QueueId })} />`}
  </section>`;
}

/** Jobs that ended in each of the last minutes. @param {{jobs: Tree[]}} props */
function Throughput({ jobs }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const colours = useColours();
  const until = now() * 1000;
  const counts = Array.from({ length: MINUTES }, () => 0);
  for (const job of jobs) {
    const minute = MINUTES - 1 - Math.floor((until - Number(job.Ended)) / 60e6);
    if (minute >= 0) counts[minute] = (counts[minute] ?? 0) + 1;
  }
  const total = counts.reduce((sum, each) => sum + each, 0);
  useEffect(() => {
    const target = canvas.current;
    const pen = target?.getContext("2d");
    if (!target || !pen) return;
    Object.assign(target, { width: target.clientWidth * 2, height: target.clientHeight * 2 });
    pen.fillStyle = getComputedStyle(target).color;
    const most = Math.max(1, ...counts);
    const step = target.width / MINUTES;
    counts.forEach((count, i) => {
      const height = Math.max(2, (count / most) * target.height);
      pen.fillRect(i * step + 1, target.height - height, step - 2, height);
    });
  }, [counts.join(), colours]);
  return html`<canvas class="spark" ref=${canvas} role="img" aria-label=${t("queue.throughput", { n: total, minutes: MINUTES })}></canvas>
    <p class="soft small">${t("queue.throughput", { n: number(total), minutes: MINUTES })}</p>`;
}

/** @param {{queue: Tree, onClose: () => void, reload: () => void}} props */
function Edit({ queue, onClose, reload }) {
  const page = usePage();
  const action = useAction();
  const notify = queue.NotifyConfig ?? {};
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    /** @param {string} name */
    const text = (name) => String(form.get(name) ?? "").trim();
    const isOn = form.get("on") === "on";
    action.run(async () => {
      // A queue of messages is set with the API alone; without another URL it stays.
      const keeps = isOn && notify.Type === "TDMQ" && !text("url");
      const NotifyConfig = keeps ? undefined : isOn ? { State: "On", Type: "Url", Event: "TaskFinish", Url: text("url"), ResultFormat: text("format") } : { State: "Off" };
      await page.api.call("PUT", `/asrqueue/${queue.QueueId}`, { body: { Name: text("name"), State: queue.State, MaxSize: text("size"), MaxConcurrent: text("concurrent"), NotifyConfig } });
      page.events.poke();
      reload();
      onClose();
    });
  };
  return html`<${Dialog} title=${t("queue.edit")} onClose=${onClose}><form class="form" onSubmit=${submit}>
    <div class="fields">
      <${Field} label=${t("column.name")}><input name="name" value=${queue.Name} required maxlength="128" /><//>
      <${Field} label=${t("queue.maxSize")}><input name="size" type="number" min="1" value=${queue.MaxSize} required /><//>
      <${Field} label=${t("queue.maxConcurrent")}><input name="concurrent" type="number" min="1" value=${queue.MaxConcurrent} required /><//>
    </div>
    <h2>${t("queue.callback")}</h2>
    <label><input type="checkbox" name="on" checked=${notify.State === "On"} /> ${t("queue.callbackOn")}</label>
    <div class="fields">
      <${Field} label="URL" hint=${notify.Type === "TDMQ" ? t("queue.tdmq", { name: notify.MqName }) : undefined}><input name="url" type="url" value=${notify.Url} placeholder="https://" /><//>
      <${Field} label=${t("queue.format")}><select name="format" value=${notify.ResultFormat || "JSON"}><option>JSON</option><option>XML</option></select><//>
    </div>
    <p class="soft small">${t("queue.changed", { time: time(Date.parse(String(queue.UpdateTime).replace(/(\d\d)$/, ":$1")) * 1000) })}</p>
    <${Problem} error=${action.error} />
    <div class="buttons"><button class="primary" aria-disabled=${action.busy}>${t("save")}</button><button type="button" onClick=${onClose}>${t("no")}</button></div>
  </form><//>`;
}

// Callbacks with every attempt, and the button that sends one again.
import { now } from "../clock.js";
import { micros, shownName, time } from "../format.js";
import { t } from "../text.js";
import { html, Link, Problem, State, useAction, useLoad, useNews, usePage } from "../ui.js";
import { useEffect, useState } from "../vendor/hooks.js";

/** @typedef {Record<string, any>} Tree */

const PENDING_MS = 3_000;
const SOON_MS = 360_000;

/** The callbacks of these ids, or of the jobs or batches with these ids. @param {{ids: string, none?: string}} props */
export function Deliveries({ ids, none = "delivery.none" }) {
  const { api } = usePage();
  const { turn } = useNews();
  const { value, error, reload } = useLoad((signal) => api.call("GET", `/callbacks/${ids}`, { signal }), [ids, api, turn]);
  useAgain(reload, (value?.Callback ?? []).some(isPending));
  if (error) return html`<${Problem} error=${error} />`;
  if (!value) return html`<p class="soft">${t("working")}</p>`;
  const found = value.Callback ?? [];
  if (!found.length) return html`<p class="soft">${t(none)}</p>`;
  return found.map((/** @type {Tree} */ each) => html`<${Delivery} key=${each.CallbackId} delivery=${each} reload=${reload} />`);
}

/** Attempts of callbacks are no events: while one is to come, look again. @param {() => void} reload @param {boolean} isOn */
export function useAgain(reload, isOn) {
  useEffect(() => {
    if (!isOn) return;
    const timer = setInterval(() => document.hidden || reload(), PENDING_MS);
    return () => clearInterval(timer);
  }, [isOn]);
}

/** Whether a callback is to be sent within the next minutes. @param {Tree} delivery */
export function isPending({ State: state, NextTime }) {
  return state === "Pending" && micros(NextTime) < (now() + SOON_MS) * 1000;
}

/** What every attempt sends. @param {{delivery: Tree, target: string}} props */
function Sent({ delivery, target }) {
  const { api } = usePage();
  const { value, error } = useLoad((signal) => api.call("GET", `/console/callbacks/${delivery.CallbackId}`, { signal }), [api, delivery.CallbackId]);
  const text = value && `POST ${target}\nContent-Type: ${value.ContentType}\nwebhook-id: ${delivery.CallbackId}\n\n${pretty(value.Body)}`;
  return html`<p class="small soft">${t("delivery.request")}</p><${Problem} error=${error} />${text && html`<pre tabindex="0" role="group" aria-label=${t("delivery.request")}>${text}</pre>`}`;
}

/** How an attempt ended, in a line. @param {Tree} attempt */
function lastOf({ Status, Answer }) {
  const answer = short(String(Answer ?? ""));
  return answer.startsWith(Status) ? answer : [Status, answer].filter(Boolean).join(" · ");
}

/** The first words of an answer. @param {string} text */
function short(text) {
  const line = text.trim().split("\n")[0] ?? "";
  return line.length > 160 ? `${line.slice(0, 160)} …` : line;
}

/** JSON in lines; other texts as they are. @param {string} body */
function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

/** `names` are the keys of jobs, in a list of callbacks of several. @param {{delivery: Tree, reload: () => void, names?: Map<string, string>}} props */
export function Delivery({ delivery, reload, names }) {
  const page = usePage();
  const action = useAction();
  const [isOpen, setOpen] = useState(false);
  const target = delivery.Url ?? (delivery.MqConfig ? `${delivery.MqConfig.MqRegion}/${delivery.MqConfig.MqName}` : "");
  const attempts = delivery.Attempt ?? [];
  const last = attempts.at(-1);
  const resend = () => action.run(async () => {
    await page.api.call("POST", `/callbacks/${delivery.CallbackId}/send`);
    page.say(t("delivery.resent"));
    reload();
  });
  return html`<div class="delivery">
    <div class="what"><div><p><${State} name=${delivery.State} /> ${names && (delivery.BatchId ? html`<${Link} to=${{ view: "batches", batch: delivery.BatchId }}>${t("delivery.batch")}<//>` : html`<${Link} to=${{ view: "job", job: delivery.JobId }}><bdi>${shownName(names.get(delivery.JobId) ?? t("delivery.job"))}</bdi><//>`)}</p>
        <p class="mono ${names ? "soft" : ""}">${target}</p>
        ${delivery.State === "Pending" && html`<p class="soft small">${t("delivery.next", { time: time(micros(delivery.NextTime)) })}</p>`}
        ${delivery.State !== "Delivered" && last && html`<p class="small last"><span class="soft">${t("delivery.last")}</span> ${lastOf(last)}</p>`}</div>
      <div class="buttons">
        <button type="button" class="small" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>${t("delivery.attempts", { n: attempts.length })}</button>
        ${page.can("callbacks") && html`<button type="button" class="small" aria-disabled=${action.busy} onClick=${resend}>${t("delivery.resend")}</button>`}
      </div></div>
    <${Problem} error=${action.error} />
    ${isOpen && html`${attempts.length > 0 && html`<div class="wide" tabindex="0" role="group" aria-label=${t("delivery.attempts", { n: attempts.length })}><table class="table stack" aria-label=${t("delivery.attempts", { n: attempts.length })}>
      <thead><tr><th>${t("delivery.time")}</th><th>${t("column.state")}</th><th>${t("delivery.took")}</th><th>${t("delivery.answer")}</th></tr></thead>
      <tbody>${attempts.map((/** @type {Tree} */ attempt, /** @type {number} */ i) => html`<tr key=${i}><td data-label=${t("delivery.time")}>${time(micros(attempt.Time))}</td><td data-label=${t("column.state")}>${attempt.Status}</td><td data-label=${t("delivery.took")}>${attempt.DurationMs} ms</td><td data-label=${t("delivery.answer")} class="mono">${attempt.Answer}</td></tr>`)}</tbody>
    </table></div>`}<${Sent} delivery=${delivery} target=${target} />`}
  </div>`;
}

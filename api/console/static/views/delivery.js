// Callbacks with every attempt, and the button that sends one again.
import { micros, time } from "../format.js";
import { t } from "../text.js";
import { html, Link, Problem, State, useAction, useLoad, usePage } from "../ui.js";
import { useState } from "../vendor/hooks.js";

/** @typedef {Record<string, any>} Tree */

/** The callbacks of these ids, or of the jobs with these ids. @param {{ids: string}} props */
export function Deliveries({ ids }) {
  const { api } = usePage();
  const { value, error, reload } = useLoad((signal) => api.call("GET", `/callbacks/${ids}`, { signal }), [ids, api]);
  if (error) return html`<${Problem} error=${error} />`;
  if (!value) return html`<p class="soft">${t("working")}</p>`;
  const found = value.Callback ?? [];
  if (!found.length) return html`<p class="soft">${t("delivery.none")}</p>`;
  return found.map((/** @type {Tree} */ each) => html`<${Delivery} key=${each.CallbackId} delivery=${each} reload=${reload} />`);
}

/** @param {{delivery: Tree, reload: () => void, showsJob?: boolean}} props */
export function Delivery({ delivery, reload, showsJob }) {
  const page = usePage();
  const action = useAction();
  const [isOpen, setOpen] = useState(false);
  const target = delivery.Url ?? (delivery.MqConfig ? `${delivery.MqConfig.MqRegion}/${delivery.MqConfig.MqName}` : "");
  const attempts = delivery.Attempt ?? [];
  const resend = () => action.run(async () => {
    await page.api.call("POST", `/callbacks/${delivery.CallbackId}/send`);
    page.say(t("delivery.resent"));
    reload();
  });
  return html`<div class="delivery">
    <div class="bar"><span><${State} name=${delivery.State} /> <span class="mono">${target}</span>
        ${showsJob && html` <${Link} to=${{ view: "job", job: delivery.JobId }}>${t("delivery.job")}<//>`}</span>
      <span class="buttons">
        <button type="button" class="small" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>${t("delivery.attempts", { n: attempts.length })}</button>
        ${page.can("callbacks") && html`<button type="button" class="small" disabled=${action.busy} onClick=${resend}>${t("delivery.resend")}</button>`}
      </span></div>
    ${delivery.State === "Pending" && html`<p class="soft">${t("delivery.next", { time: time(micros(delivery.NextTime)) })}</p>`}
    <${Problem} error=${action.error} />
    ${isOpen && html`<div class="wide" tabindex="0" role="group" aria-label=${t("delivery.attempts", { n: attempts.length })}><table class="table">
      <thead><tr><th>${t("delivery.time")}</th><th>${t("column.state")}</th><th>${t("delivery.took")}</th><th>${t("delivery.answer")}</th></tr></thead>
      <tbody>${attempts.map((/** @type {Tree} */ attempt, /** @type {number} */ i) => html`<tr key=${i}><td>${time(micros(attempt.Time))}</td><td>${attempt.Status}</td><td>${attempt.DurationMs} ms</td><td class="mono">${attempt.Answer}</td></tr>`)}</tbody>
    </table></div>`}
  </div>`;
}

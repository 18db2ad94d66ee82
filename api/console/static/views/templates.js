// Templates: named parameters of a separation.
import { time, micros } from "../format.js";
import { t } from "../text.js";
import { Field } from "../parts.js";
import { Confirm, Dialog, Empty, html, Problem, useAction, useLoad, usePage } from "../ui.js";
import { useState } from "../vendor/hooks.js";
import { BIT_DEPTHS, CODECS, MODES, MUSIC_CODECS, templateFor } from "./options.js";

/** @typedef {Record<string, any>} Tree */

export default function Templates() {
  const page = usePage();
  const { value, error, reload } = useLoad((signal) => page.api.call("GET", "/template", { query: { pageSize: 100 }, signal }), [page.api]);
  const [edited, setEdited] = useState(/** @type {Tree | null} */ (null));
  const [deleted, setDeleted] = useState(/** @type {Tree | null} */ (null));
  const isAllowed = page.can("templates");
  if (!value) return error ? html`<${Problem} error=${error} />` : html`<p class="soft">${t("working")}</p>`;
  const templates = value.TemplateList ?? [];
  const add = isAllowed && html`<button type="button" class="primary" onClick=${() => setEdited({})}>${t("template.new")}</button>`;
  return html`<div class="bar"><h1>${t("nav.templates")}</h1>${templates.length > 0 && add}</div><${Problem} error=${error} />
    ${templates.length ? html`<div class="card wide" tabindex="0" role="group" aria-label=${t("nav.templates")}><table class="table stack" aria-label=${t("nav.templates")}>
      <thead><tr><th>${t("column.name")}</th><th>${t("column.mode")}</th><th>${t("template.audio")}</th><th>${t("template.changed")}</th><th><span class="hidden">${t("edit")}</span></th></tr></thead>
      <tbody>${templates.map((/** @type {Tree} */ each) => html`<tr key=${each.TemplateId}>
        <td data-label=${t("column.name")}><span><b>${each.Name}</b><br /><span class="mono soft">${each.TemplateId}</span></span></td>
        <td data-label=${t("column.mode")}><span>${t(`mode.${each.VoiceSeparate.AudioMode}`)}${each.VoiceSeparate.Model && html`<br /><span class="mono soft">${each.VoiceSeparate.Model}</span>`}</span></td><td data-label=${t("template.audio")}>${audio(each.VoiceSeparate.AudioConfig)}</td><td data-label=${t("template.changed")}>${time(micros(each.UpdateTime))}</td>
        <td data-label="">${isAllowed && html`<div class="buttons"><button type="button" class="small" onClick=${() => setEdited(each)}>${t("edit")}</button><button type="button" class="small" onClick=${() => setDeleted(each)}>${t("delete")}</button></div>`}</td></tr>`)}</tbody>
    </table></div>` : html`<${Empty} title=${t("template.none")}><p>${t("template.noneHint")}</p>${add}<//>`}
    ${edited && html`<${Edit} template=${edited} onClose=${() => setEdited(null)} reload=${reload} />`}
    ${deleted && html`<${Confirm} title=${t("template.delete")} text=${t("template.deleteText", { name: deleted.Name })} yes=${t("delete")} onClose=${() => setDeleted(null)} onYes=${async () => {
      await page.api.call("DELETE", `/template/${deleted.TemplateId}`);
      reload();
    }} />`}`;
}

/** @param {Tree | undefined} config */
function audio(config) {
  const { Codec, Samplerate, Bitrate, Channels, BitDepth } = config ?? {};
  return [Codec, Samplerate && `${Samplerate} Hz`, Bitrate && `${Bitrate} kbit/s`, Channels && t("template.channels", { n: Channels }), BitDepth && `${BitDepth} bit`].filter(Boolean).join(", ");
}

/** @param {{template: Tree, onClose: () => void, reload: () => void}} props */
function Edit({ template, onClose, reload }) {
  const page = usePage();
  const action = useAction();
  const separate = template.VoiceSeparate ?? {};
  const config = separate.AudioConfig ?? {};
  const [mode, setMode] = useState(separate.AudioMode ?? "AudioAndBackground");
  const [codec, setCodec] = useState(config.Codec ?? "mp3");
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    const body = templateFor(new FormData(/** @type {HTMLFormElement} */ (event.target)), mode);
    action.run(async () => {
      const { TemplateId: id } = template;
      await (id ? page.api.call("PUT", `/template/${id}`, { body }) : page.api.call("POST", "/template", { body }));
      reload();
      onClose();
    });
  };
  const codecs = mode === "MusicMode" ? MUSIC_CODECS : CODECS;
  return html`<${Dialog} title=${t(template.TemplateId ? "template.edit" : "template.new")} onClose=${onClose}><form class="form" onSubmit=${submit}>
    <div class="fields">
      <${Field} label=${t("column.name")} hint=${t("template.nameHint")}><input name="name" value=${template.Name} required maxlength="64" /><//>
      <${Field} label=${t("column.mode")}><select value=${mode} onChange=${(/** @type {any} */ event) => setMode(event.target.value)}>${Object.keys(MODES).map((each) => html`<option key=${each} value=${each}>${t(`mode.${each}`)}</option>`)}</select><//>
      <${Field} label=${t("job.model")} hint=${t("template.modelHint")}><input name="model" value=${separate.Model} maxlength="63" /><//>
      <${Field} label=${t("new.codec")}><select name="Codec" value=${codec} onChange=${(/** @type {any} */ event) => setCodec(event.target.value)}>${codecs.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select><//>
      ${mode !== "MusicMode" && html`<${Field} label=${t("template.samplerate")}><input name="Samplerate" type="number" value=${config.Samplerate} /><//>
        <${Field} label=${t("template.bitrate")}><input name="Bitrate" type="number" value=${config.Bitrate} /><//>
        <${Field} label=${t("template.channel")}><input name="Channels" type="number" value=${config.Channels} /><//>`}
      ${BIT_DEPTHS[codec] && html`<${Field} label=${t("new.bitDepth")}><select name="BitDepth" value=${config.BitDepth ?? ""}><option value="">${t("new.default")}</option>${BIT_DEPTHS[codec]?.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select><//>`}
    </div>
    <${Problem} error=${action.error} />
    <div class="buttons"><button class="primary" aria-disabled=${action.busy}>${t("save")}</button><button type="button" onClick=${onClose}>${t("no")}</button></div>
  </form><//>`;
}

// A new job: files that are dropped, or a key; and what is made of them.
import { ApiError, sentence } from "../api.js";
import { size } from "../format.js";
import { go } from "../route.js";
import { t } from "../text.js";
import { Field, SoundStyles } from "../parts.js";
import { html, Link, Problem, useAction, useLoad, usePage } from "../ui.js";
import { Upload } from "../upload.js";
import { useEffect, useRef, useState } from "../vendor/hooks.js";
import { submit } from "./actions.js";
import { BIT_DEPTHS, CODECS, MODES, MUSIC_CODECS, PATTERN, patternProblem, requestFor } from "./options.js";

/** @typedef {Record<string, any>} Tree */
/** @typedef {{upload: Upload, job: string, error: unknown}} Item */

/** Files that are sent at the same time. */
const AT_ONCE = 2;
/** Items outlive the view, so that another view can be looked at meanwhile. @type {Item[]} */
const items = [];
let onItems = () => {};
const queue = { running: 0 };

/** @param {{route: import("../route.js").Route}} props */
export default function NewJob({ route }) {
  const page = usePage();
  const { api, session } = page;
  const [form, setForm] = useState({ key: "", mode: "AudioAndBackground", codec: "mp3", bitDepth: "", template: "", level: "0", pattern: PATTERN, userData: "", callback: "", audioTrack: "" });
  const [isOver, setOver] = useState(false);
  const [, redraw] = useState(0);
  const picker = useRef(/** @type {HTMLInputElement | null} */ (null));
  const action = useAction();
  const templates = useLoad((signal) => api.call("GET", "/template", { query: { pageSize: 100 }, signal }), [api]);
  useLoad(async (signal) => {
    if (!route.from) return;
    const found = await api.call("GET", `/jobs/${route.from}`, { signal });
    const job = found.JobsDetail?.[0];
    if (job) setForm((before) => ({ ...before, ...formOf(job) }));
  }, [route.from]);
  useEffect(() => {
    onItems = () => redraw((before) => before + 1);
    return () => {
      onItems = () => {};
    };
  }, []);
  /** @param {Partial<typeof form>} change */
  const set = (change) => setForm((before) => ({ ...before, ...change }));
  const template = (templates.value?.TemplateList ?? []).find((/** @type {Tree} */ each) => each.TemplateId === form.template);
  const mode = template?.VoiceSeparate.AudioMode ?? form.mode;
  const codec = mode === "MusicMode" && !MUSIC_CODECS.includes(form.codec) ? "mp3" : form.codec;
  const problem = patternProblem(form.pattern, mode);
  /** @param {string} key */
  const requestOfKey = (key) => requestFor({ ...form, key, mode, codec, bucket: session.Bucket, region: session.Region });
  /** @param {Iterable<File>} files */
  const add = (files) => {
    if (problem) return action.run(async () => Promise.reject(new Error(t(problem))));
    // What is chosen now holds for these files, whatever is chosen while they are sent.
    const request = requestOfKey;
    for (const file of files) {
      const item = /** @type {Item} */ ({ job: "", error: null });
      item.upload = new Upload(api, file, () => onItems());
      items.unshift(item);
      start(page, item, request);
    }
    onItems();
    return Promise.resolve();
  };
  /** @param {DragEvent} event */
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    add([...(event.dataTransfer?.files ?? [])]);
  };
  /** @param {SubmitEvent} event */
  const submitKey = (event) => {
    event.preventDefault();
    action.run(async () => {
      if (problem) throw new Error(t(problem));
      const key = form.key.trim().replace(/^(cos|s3):\/\/[^/]+\//, "");
      if (!key) throw new Error(t("new.noKey"));
      go({ view: "job", job: await submit(page, requestOfKey(key)) });
    });
  };
  if (!page.can("submit")) return html`<h1>${t("jobs.new")}</h1><p>${t("new.readOnly")}</p>`;
  return html`<${SoundStyles} /><div class="bar"><h1>${t("jobs.new")}</h1></div>
    <form class="card" onSubmit=${submitKey}>
      <div class="fields">
        <${Field} label=${t("new.template")}><select value=${form.template} onChange=${(/** @type {any} */ event) => set({ template: event.target.value })}>
          <option value="">${t("new.noTemplate")}</option>
          ${(templates.value?.TemplateList ?? []).map((/** @type {Tree} */ each) => html`<option key=${each.TemplateId} value=${each.TemplateId}>${each.Name}</option>`)}</select><//>
        <${Field} label=${t("column.mode")}><select value=${mode} disabled=${Boolean(template)} onChange=${(/** @type {any} */ event) => set({ mode: event.target.value })}>
          ${Object.keys(MODES).map((each) => html`<option key=${each} value=${each}>${t(`mode.${each}`)}</option>`)}</select><//>
        <${Field} label=${t("new.codec")}><select value=${codec} disabled=${Boolean(template)} onChange=${(/** @type {any} */ event) => set({ codec: event.target.value, bitDepth: "" })}>
          ${(mode === "MusicMode" ? MUSIC_CODECS : CODECS).map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select><//>
        ${BIT_DEPTHS[codec] && !template && html`<${Field} label=${t("new.bitDepth")}><select value=${form.bitDepth} onChange=${(/** @type {any} */ event) => set({ bitDepth: event.target.value })}>
          <option value="">${t("new.default")}</option>${(BIT_DEPTHS[codec] ?? []).map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select><//>`}
        <${Field} label=${t("column.level")} hint=${t("new.levelHint")}><select value=${form.level} onChange=${(/** @type {any} */ event) => set({ level: event.target.value })}>
          ${["0", "1", "2"].map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select><//>
      </div>
      <details><summary>${t("new.more")}</summary><div class="fields">
        <${Field} label=${t("new.pattern")} hint=${t("new.patternHint")}><input value=${form.pattern} spellcheck="false" onInput=${(/** @type {any} */ event) => set({ pattern: event.target.value })} /><//>
        <${Field} label=${t("job.userData")}><input value=${form.userData} maxlength="1024" onInput=${(/** @type {any} */ event) => set({ userData: event.target.value })} /><//>
        <${Field} label=${t("new.callback")}><input type="url" value=${form.callback} placeholder="https://" onInput=${(/** @type {any} */ event) => set({ callback: event.target.value })} /><//>
        <${Field} label=${t("new.audioTrack")} hint=${t("new.audioTrackHint")}><input value=${form.audioTrack} onInput=${(/** @type {any} */ event) => set({ audioTrack: event.target.value.trim() })} /><//>
      </div></details>
      ${problem && html`<p class="problem">${t(problem)}</p>`}
      ${page.can("upload") && html`<div class="drop ${isOver ? "over" : ""}" onDragOver=${(/** @type {DragEvent} */ event) => {
        event.preventDefault();
        setOver(true);
      }} onDragLeave=${() => setOver(false)} onDrop=${drop}>
        <p>${t("new.drop")}</p>
        <button type="button" onClick=${() => picker.current?.click()}>${t("new.choose")}</button>
        <input ref=${picker} class="hidden" type="file" multiple accept="audio/*,video/*" aria-label=${t("new.choose")} tabindex="-1" onChange=${(/** @type {any} */ event) => {
          add([...event.target.files]);
          event.target.value = "";
        }} />
      </div>`}
      <${Field} label=${t("new.key")} hint=${t("new.keyHint", { bucket: session.Bucket })}><input value=${form.key} spellcheck="false" placeholder="in/song.mp3" onInput=${(/** @type {any} */ event) => set({ key: event.target.value })} /><//>
      <${Problem} error=${action.error} />
      <div class="buttons"><button class="primary" disabled=${action.busy || !form.key.trim()}>${action.busy ? t("working") : t("new.submit")}</button></div>
    </form>
    ${items.length > 0 && html`<section class="card" aria-labelledby="uploads"><h2 id="uploads">${t("new.uploads")}</h2>
      ${items.map((item, index) => html`<${UploadRow} key=${index - items.length} item=${item} again=${() => start(page, item, requestOfKey)} />`)}</section>`}`;
}

/** Send a file when its turn comes, and submit the job as soon as it has arrived. @param {import("../ui.js").Page} page @param {Item} item @param {(key: string) => Tree} request */
async function start(page, item, request) {
  const { upload } = item;
  while (queue.running >= AT_ONCE) {
    await new Promise((done) => setTimeout(done, 150));
    if (upload.state === "given up") return;
  }
  queue.running += 1;
  const isSent = await upload.run();
  queue.running -= 1;
  if (!isSent) return;
  try {
    item.error = null;
    item.job = await submit(page, request(upload.key));
  } catch (error) {
    item.error = error;
  }
  onItems();
}

/** @param {{item: Item, again: () => void}} props */
function UploadRow({ item, again }) {
  const { upload, job, error } = item;
  const { file, state } = upload;
  const percent = Math.floor(upload.share * 100);
  const failure = upload.error ?? error;
  return html`<div class="upload" data-state=${state}>
    <span><b>${file.name}</b> <span class="soft small">${size(file.size)} · ${job ? t("new.submitted") : t(`upload.${state}`)} ${state === "sending" ? `${percent} %` : ""}</span>
      ${failure instanceof ApiError ? html`<${Problem} error=${failure} />` : failure ? html`<span class="problem" role="alert">${t("upload.problem", { reason: sentence(failure) })}</span>` : null}</span>
    <span class="buttons">
      ${state === "sending" && html`<button type="button" class="small" onClick=${() => upload.pause()}>${t("upload.pause")}</button>`}
      ${(state === "paused" || state === "failed") && html`<button type="button" class="small" onClick=${again}>${t("upload.resume")}</button>`}
      ${state !== "done" && state !== "given up" && html`<button type="button" class="small" onClick=${() => upload.giveUp()}>${t("upload.giveUp")}</button>`}
      ${job && html`<${Link} to=${{ view: "job", job }} class="button">${t("new.open")}<//>`}
    </span>
    <progress max="1" value=${upload.share} aria-label=${t("progressOf", { name: file.name })}></progress>
  </div>`;
}

/** What a form shows of a job that is duplicated. @param {Tree} job */
function formOf(job) {
  const { Operation: operation, Input: input } = job;
  const separate = operation.VoiceSeparate;
  const config = separate?.AudioConfig ?? {};
  const names = MODES[separate?.AudioMode ?? ""] ?? {};
  const [element, stem] = Object.entries(names)[0] ?? ["AuObject", "voice"];
  const given = String(operation.Output[element] ?? operation.Output.AuObject ?? operation.Output.Object ?? PATTERN);
  const pattern = given.includes(stem) ? given.replace(stem, "{stem}") : given;
  return {
    key: String(input.Object),
    mode: separate?.AudioMode ?? "AudioAndBackground",
    codec: config.Codec ?? "aac",
    bitDepth: config.BitDepth ?? "",
    template: operation.TemplateId ?? "",
    level: String(operation.JobLevel ?? "0"),
    pattern: pattern.includes("{stem}") ? pattern : PATTERN,
    userData: operation.UserData ?? "",
    audioTrack: input.AudioTrack ?? "",
  };
}

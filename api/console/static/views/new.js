// A new job: files that are dropped, or a key; and what is made of them.
import { now } from "../clock.js";
import { go } from "../route.js";
import { t } from "../text.js";
import { Field, SoundStyles } from "../parts.js";
import { html, Problem, useAction, useLoad, usePage } from "../ui.js";
import { useEffect, useRef, useState } from "../vendor/hooks.js";
import { repeatable, requestOf, submit } from "./actions.js";
import { BIT_DEPTHS, CODECS, localTime, MODES, MUSIC_CODECS, PATTERN, patternProblem, requestFor, textsProblem, timesProblem } from "./options.js";
import { add as addUpload, check, choose, fileProblem, Uploads } from "./uploads.js";

/** @typedef {Record<string, any>} Tree */

/** Files that were dropped on the page, until the view takes them. @type {File[]} */
let dropped = [];
let onDropped = () => {};

/** Make jobs of files that were dropped anywhere on the page. @param {File[]} files */
export function take(files) {
  dropped.push(...files);
  onDropped();
}

/** @param {{route: import("../route.js").Route}} props */
export default function NewJob({ route }) {
  const page = usePage();
  const { api, session } = page;
  const [form, setForm] = useState({ key: "", mode: "AudioAndBackground", codec: "mp3", bitDepth: "", template: "", level: "0", pattern: PATTERN, userData: "", callback: "", audioTrack: "", notBefore: "", deadline: "", timeout: "", base: /** @type {Tree | undefined} */ (undefined) });
  const [isOver, setOver] = useState(false);
  const picker = useRef(/** @type {HTMLInputElement | null} */ (null));
  const action = useAction();
  const templates = useLoad((signal) => api.call("GET", "/template", { query: { pageSize: 100 }, signal }), [api]);
  const original = useLoad(async (signal) => {
    if (!route.from) return;
    const [found, more] = await Promise.all([api.call("GET", `/jobs/${route.from}`, { signal }), api.call("GET", `/console/jobs/${route.from}`, { signal })]);
    const job = found.JobsDetail?.[0];
    if (job) setForm((before) => ({ ...before, ...formOf(requestOf(job, repeatable(more.Callback))) }));
  }, [route.from]);
  /** @param {Partial<typeof form>} change */
  const set = (change) => setForm((before) => ({ ...before, ...change }));
  const template = (templates.value?.TemplateList ?? []).find((/** @type {Tree} */ each) => each.TemplateId === form.template);
  const mode = template?.VoiceSeparate.AudioMode ?? form.mode;
  const codec = mode === "MusicMode" && !MUSIC_CODECS.includes(form.codec) ? "mp3" : form.codec;
  const problem = patternProblem(form.pattern, mode) || timesProblem(form.notBefore, form.deadline, now()) || textsProblem(form.userData, form.callback);
  /** @param {string} key */
  const requestOfKey = (key) => {
    if (problem) throw new Error(t(problem));
    return requestFor({ ...form, key, mode, codec, bucket: session.Bucket, region: session.Region });
  };
  choose(requestOfKey);
  /** @param {File[]} files */
  const add = (files) => action.run(async () => {
    const problems = await Promise.all(files.map((file) => fileProblem(file, Number(session.SourceMaxBytes))));
    const refused = problems.filter(Boolean);
    const [first, ...others] = files.filter((_, index) => !problems[index]);
    if (first) {
      await check(page, first, requestOfKey);
      // What is chosen now holds for these files, whatever is chosen while they are sent.
      for (const file of [first, ...others]) addUpload(page, file, requestOfKey);
    }
    if (refused.length) throw new Error(refused.join(" "));
  });
  useEffect(() => {
    onDropped = () => {
      const files = dropped;
      dropped = [];
      setOver(false);
      if (files.length && page.can("upload")) add(files);
    };
    onDropped();
    return () => {
      onDropped = () => {};
    };
  });
  /** @param {SubmitEvent} event */
  const submitKey = (event) => {
    event.preventDefault();
    action.run(async () => {
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
        <${Field} label=${t("job.userData")} hint=${t("new.userDataHint")}><input value=${form.userData} maxlength="1024" onInput=${(/** @type {any} */ event) => set({ userData: event.target.value })} /><//>
        <${Field} label=${t("new.callback")} hint=${t("new.callbackHint")}><input type="url" value=${form.callback} placeholder="https://" onInput=${(/** @type {any} */ event) => set({ callback: event.target.value })} /><//>
        <${Field} label=${t("new.audioTrack")} hint=${t("new.audioTrackHint")}><input value=${form.audioTrack} onInput=${(/** @type {any} */ event) => set({ audioTrack: event.target.value.trim() })} /><//>
        <${Field} label=${t("job.notBefore")} hint=${t("new.notBeforeHint")}><input type="datetime-local" value=${form.notBefore} onInput=${(/** @type {any} */ event) => set({ notBefore: event.target.value })} /><//>
        <${Field} label=${t("job.deadline")} hint=${t("new.deadlineHint")}><input type="datetime-local" value=${form.deadline} onInput=${(/** @type {any} */ event) => set({ deadline: event.target.value })} /><//>
        <${Field} label=${t("new.timeout")} hint=${t("new.timeoutHint")}><input type="number" min="1" max="604800" value=${form.timeout} onInput=${(/** @type {any} */ event) => set({ timeout: event.target.value })} /><//>
      </div></details>
      ${problem && html`<p class="problem" role="alert">${t(problem)}</p>`}
      ${page.can("upload") && html`<div class="drop ${isOver ? "over" : ""}" onDragOver=${() => setOver(true)} onDragLeave=${() => setOver(false)}>
        <p>${t("new.drop")}</p>
        <button type="button" onClick=${() => picker.current?.click()}>${t("new.choose")}</button>
        <input ref=${picker} class="hidden" type="file" multiple accept="audio/*,video/*" aria-label=${t("new.choose")} tabindex="-1" onChange=${(/** @type {any} */ event) => {
          add([...event.target.files]);
          event.target.value = "";
        }} />
      </div>`}
      <${Field} label=${t("new.key")} hint=${t("new.keyHint", { bucket: session.Bucket })}><input value=${form.key} spellcheck="false" placeholder="in/song.mp3" onInput=${(/** @type {any} */ event) => set({ key: event.target.value })} /><//>
      <${Problem} error=${action.error ?? original.error} />
      <div class="buttons"><button class="primary" aria-disabled=${action.busy} disabled=${!form.key.trim()}>${action.busy ? t("working") : t("new.submit")}</button></div>
    </form>
    <${Uploads} />`;
}

/** What a form shows of a request that is changed. @param {Tree} base */
function formOf(base) {
  const { Operation: operation, Input: input } = base;
  const separate = operation.VoiceSeparate;
  const config = separate?.AudioConfig ?? {};
  const names = MODES[separate?.AudioMode ?? ""] ?? {};
  const [element, stem] = Object.entries(names)[0] ?? ["AuObject", "voice"];
  const given = String(operation.Output[element] ?? operation.Output.AuObject ?? operation.Output.Object ?? PATTERN);
  const pattern = given.includes(stem) ? given.replace(stem, "{stem}") : given;
  return {
    base,
    key: String(input.Object),
    mode: separate?.AudioMode ?? "AudioAndBackground",
    codec: config.Codec ?? "aac",
    bitDepth: config.BitDepth ?? "",
    template: operation.TemplateId ?? "",
    level: String(operation.JobLevel ?? "0"),
    pattern: pattern.includes("{stem}") ? pattern : PATTERN,
    userData: operation.UserData ?? "",
    audioTrack: input.AudioTrack ?? "",
    callback: base.CallBack ?? "",
    notBefore: localTime(base.NotBefore),
    deadline: localTime(base.Deadline),
    timeout: base.Timeout ?? "",
  };
}

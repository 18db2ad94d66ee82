// Files on their way into the bucket, each of which becomes a job; they outlive the view that shows them.
import { ApiError, sentence } from "../api.js";
import { number, size, visible } from "../format.js";
import { isSame } from "../session.js";
import { t } from "../text.js";
import { html, Link, Problem, usePage } from "../ui.js";
import { isReadable, Unreadable, Unreached, Upload } from "../upload.js";
import { useEffect, useRef, useState } from "../vendor/hooks.js";
import { submit } from "./actions.js";

/** @typedef {Record<string, any>} Tree */
/** @typedef {import("../ui.js").Page} Page */
/** @typedef {(key: string) => Tree} RequestOf a request for the key of a source; throws what is wrong with it */
/** @typedef {{number: number, upload: Upload, page: Page, request: RequestOf, job: string, error: unknown, isStarted: boolean}} Item `isStarted` while it waits for its turn, is sent or submitted */

/** Files that are sent at the same time. */
const AT_ONCE = 2;
/** @type {Item[]} */
let items = [];
let running = 0;
/** Counts files, so that each has a number of its own. */
let added = 0;
/** How many of them have been on the screen: a new one may be below what a phone shows. */
let seen = 0;
let onChange = () => {};
/** What the form says now. @type {RequestOf | null} */
let chosen = null;

// Who leaves takes nothing along: what is not sent yet stays unsent, and the next one does not see its name.
globalThis.addEventListener?.("stemline.leave", () => {
  for (const { upload } of items) upload.pause();
  items = [];
});

/** How many files have not become jobs yet. */
export function unfinished() {
  return items.filter(({ job, error }) => !job && !error).length;
}

/**
 * Send a file, and submit the job as soon as it has arrived.
 * @param {Page} page
 * @param {File} file
 * @param {(key: string) => Tree} request of the job for a key
 */
export function add(page, file, request) {
  const item = /** @type {Item} */ ({ number: added, page, request, job: "", error: null, isStarted: false });
  added += 1;
  item.upload = new Upload(page.api, file, () => onChange());
  items.push(item);
  start(item);
  onChange();
}

/** Say what the form says now; an upload whose job was refused is submitted with it. @param {RequestOf} request */
export function choose(request) {
  chosen = request;
}

/**
 * Refuse what the service would refuse, before anything is sent.
 * @param {Page} page
 * @param {File} file
 * @param {RequestOf} request
 */
export async function check({ api }, file, request) {
  await api.call("POST", "/console/check", { body: request(`uploads/${"0".repeat(16)}/${file.name}`) });
}

/** Why a file cannot be a source; empty if it can. @param {File} file @param {number} most bytes @returns {Promise<string>} */
export async function fileProblem(file, most) {
  if (!(await isReadable(file))) return t("upload.unreadable", { name: file.name });
  if (!file.size) return t("upload.empty", { name: file.name });
  return most && file.size > most ? t("upload.tooLarge", { name: file.name, size: size(most) }) : "";
}

/** Go on: an interrupted upload as it was begun, and one whose job was refused with what the form says now. @param {Item} item */
function resume(item) {
  if (item.error && chosen) item.request = chosen;
  item.error = null;
  start(item);
}

/** @param {Item} item */
function giveUp(item) {
  items = items.filter((each) => each !== item);
  item.upload.giveUp();
  onChange();
}

/** Begin, once however often it is asked for. @param {Item} item */
async function start(item) {
  if (item.isStarted) return;
  item.isStarted = true;
  await sendAndSubmit(item).finally(() => {
    item.isStarted = false;
    onChange();
  });
}

/** @param {Item} item */
async function sendAndSubmit(item) {
  const { upload, page, request } = item;
  upload.queue();
  while (running >= AT_ONCE) {
    await new Promise((done) => setTimeout(done, 150));
    if (!items.includes(item)) return;
  }
  running += 1;
  const isSent = await upload.run().finally(() => {
    running -= 1;
  });
  if (!isSent || !items.includes(item)) return;
  try {
    item.error = null;
    item.job = await submit(page, request(upload.key));
  } catch (error) {
    item.error = error;
  }
}

/** The uploads of who is signed in. */
export function Uploads() {
  const { api } = usePage();
  const [, redraw] = useState(0);
  useEffect(() => {
    onChange = () => redraw((before) => before + 1);
    return () => {
      onChange = () => {};
    };
  }, []);
  const own = items.filter((item) => isSame(item.page.api.session, api.session));
  const last = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (added > seen) last.current?.scrollIntoView({ block: "nearest" });
    seen = added;
  }, [own.length]);
  if (!own.length) return null;
  const submitted = own.filter(({ job }) => job).length;
  return html`<section class="card" aria-labelledby="uploads"><div class="bar"><h2 id="uploads">${t("new.uploads")}</h2>
      <span class="soft" role="status">${t("new.uploaded", { n: number(submitted), of: number(own.length) })}</span></div>
    ${own.map((item) => html`<${Row} key=${item.number} item=${item} />`)}<span ref=${last}></span></section>`;
}

/** Why a file could not be sent. @param {unknown} failure @param {File} file */
function reasonOf(failure, file) {
  if (failure instanceof Unreadable) return t("upload.unreadable", { name: file.name });
  return failure instanceof Unreached ? t("upload.unreached") : t("upload.problem", { reason: sentence(failure) });
}

/** @param {{item: Item}} props */
function Row({ item }) {
  const { upload, job, error } = item;
  const { file, state } = upload;
  const percent = Math.floor(upload.share * 100);
  const failure = upload.error ?? error;
  return html`<div class="upload" data-state=${state}>
    <span><b><bdi>${visible(file.name)}</bdi></b> <span class="soft small">${size(file.size)} · ${job ? t("new.submitted") : t(upload.isHeld ? "upload.held" : `upload.${state}`)} ${state === "sending" ? `${percent} %` : ""}</span>
      ${failure instanceof ApiError ? html`<${Problem} error=${failure} />` : failure && failure === error ? html`<span class="problem" role="alert">${sentence(failure)}</span>` : failure ? html`<span class="problem" role="alert">${reasonOf(failure, file)}</span>` : null}
      ${error && !job ? html`<span class="soft small">${t("upload.refused")}</span>` : null}</span>
    <span class="buttons">
      ${state === "sending" && html`<button type="button" class="small" onClick=${() => upload.pause()}>${t("upload.pause")}</button>`}
      ${(state === "paused" || state === "failed" || (error && !job)) && html`<button type="button" class="small" onClick=${() => resume(item)}>${t("upload.resume")}</button>`}
      ${!job && html`<button type="button" class="small" onClick=${() => giveUp(item)}>${t("upload.giveUp")}</button>`}
      ${job && html`<${Link} to=${{ view: "job", job }} class="button">${t("new.open")}<//>`}
    </span>
    <progress max="1" value=${upload.share} aria-label=${t("progressOf", { name: file.name })}></progress>
  </div>`;
}

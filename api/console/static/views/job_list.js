// The list of jobs: as long as the bucket's, but only what can be seen is loaded and drawn.
import { duration, number, shownName, time, visible } from "../format.js";
import { language, t } from "../text.js";
import { Empty, html, Link, Problem, State, useNews, useNow, usePage, useUnsaid } from "../ui.js";
import { useEffect, useMemo, useRef, useState } from "../vendor/hooks.js";
import { Search } from "./search.js";

/** @typedef {import("../route.js").Route} Route */
/** @typedef {Record<string, any>} Tree */

const PAGE = 100;
/** Rows drawn above and below what can be seen. */
const MARGIN = 8;
/** A list that is shorter than so many rows may be lower than its place. */
const FEW = 50;
/** Height of a row, px; the style sheet has the same. */
const ROW = 56;

/**
 * @typedef {object} Rows
 * @property {number} total how many there are, or have been found so far
 * @property {(index: number) => Tree | undefined} row
 * @property {(first: number, last: number) => void} want say which rows can be seen
 * @property {boolean} isLoaded
 * @property {boolean} isSearching
 * @property {unknown} error
 * @property {unknown} source another one does not know yet which rows can be seen
 */

/** Jobs by their place: pages are loaded where they can be seen, and again when something changes. @param {Route} route @returns {Rows} */
function useByPlace(route) {
  const { api } = usePage();
  const { turn } = useNews();
  const state = route.state ?? "";
  const [loaded, setLoaded] = useState({ state, total: -1, pages: /** @type {Map<number, Tree[]>} */ (new Map()) });
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [seen, setSeen] = useState({ first: 0, last: 0 });
  const wanted = useRef({ state, seen, api });
  wanted.current = { state, seen, api };
  const work = useRef({ isBusy: false, again: false, isGone: false });
  const load = async () => {
    const { state, seen, api } = wanted.current;
    const fresh = new Map();
    let total = 0;
    for (let page = seen.first; page <= seen.last; page += 1) {
      const answer = await api.call("GET", "/console/jobs", { query: { state, offset: page * PAGE, size: PAGE } });
      fresh.set(page, answer.Job ?? []);
      total = Number(answer.Total ?? 0);
    }
    setLoaded((before) => {
      // Only what is near stays in memory.
      const kept = before.state === state ? [...before.pages].filter(([page]) => Math.abs(page - seen.first) < 5) : [];
      return { state, total, pages: new Map([...kept, ...fresh]) };
    });
  };
  /** Load; what changes meanwhile is loaded afterwards, so that a slow answer is not thrown away. */
  const refresh = async () => {
    const now = work.current;
    if (now.isBusy) {
      now.again = true;
      return;
    }
    now.isBusy = true;
    do {
      now.again = false;
      await load().then(() => setError(null), setError);
    } while (now.again && !now.isGone);
    now.isBusy = false;
  };
  useEffect(() => {
    refresh();
  }, [state, turn, seen.first, seen.last, api]);
  useEffect(() => () => {
    work.current.isGone = true;
  }, []);
  const isLoaded = loaded.state === state && loaded.total >= 0;
  return {
    total: isLoaded ? loaded.total : 0,
    row: (index) => loaded.pages.get(Math.floor(index / PAGE))?.[index % PAGE],
    want: (first, last) => setSeen({ first: Math.floor(first / PAGE), last: Math.floor(Math.max(first, last) / PAGE) }),
    isLoaded,
    isSearching: false,
    error,
    source: null,
  };
}

/** Jobs that match a search: more are looked for as the end comes into view. @param {Route} route @returns {Rows} */
function useFound(route) {
  const { api } = usePage();
  const { turn } = useNews();
  const [, redraw] = useState(0);
  const { text, state, from, to, queue, batch } = route;
  const search = useMemo(
    () => new Search(api, { text, state, queueId: queue, batchId: batch, from: startOf(from), to: endOf(to) }, () => redraw((before) => before + 1)),
    [text, state, from, to, queue, batch, api],
  );
  useEffect(() => () => search.stop(), [search]);
  useEffect(() => search.refresh(), [search, turn]);
  return {
    total: search.rows.length,
    row: (index) => search.rows[index],
    want: (_, last) => search.want(last),
    isLoaded: search.isDone || search.rows.length > 0,
    isSearching: search.isSearching,
    error: search.error,
    source: search,
  };
}

/** @param {string | undefined} day */
function startOf(day) {
  return day ? Date.parse(`${day}T00:00:00`) * 1000 : undefined;
}

/** @param {string | undefined} day */
function endOf(day) {
  return day ? Date.parse(`${day}T23:59:59.999`) * 1000 : undefined;
}

/** @param {{route: Route, selected: Map<string, string>, onSelect: (states: Map<string, string>) => void}} props */
export function JobList({ route, selected, onSelect }) {
  const isSearch = Boolean(route.text || route.from || route.to || route.queue || route.batch);
  const List = isSearch ? Found : ByPlace;
  return html`<${List} route=${route} selected=${selected} onSelect=${onSelect} />`;
}

/** @param {any} props */
function ByPlace(props) {
  return html`<${Table} rows=${useByPlace(props.route)} ...${props} />`;
}

/** @param {any} props */
function Found(props) {
  return html`<${Table} rows=${useFound(props.route)} ...${props} />`;
}

/** @param {{rows: Rows, route: Route, selected: Map<string, string>, onSelect: (states: Map<string, string>) => void}} props */
function Table({ rows, route, selected, onSelect }) {
  const { can } = usePage();
  const isSelectable = can("cancel") || can("submit");
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [view, setView] = useState({ top: 0, height: 800 });
  useEffect(() => {
    const area = element.current;
    if (!area) return;
    let frame = 0;
    const look = () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => setView({ top: area.scrollTop, height: area.clientHeight }));
    };
    look();
    area.addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
    return () => {
      area.removeEventListener("scroll", look);
      removeEventListener("resize", look);
      cancelAnimationFrame(frame);
    };
  }, [rows.isLoaded, Math.min(rows.total, FEW)]);
  const first = Math.max(0, Math.min(rows.total, Math.floor(view.top / ROW)) - MARGIN);
  const last = Math.max(first, Math.min(rows.total - 1, Math.ceil((view.top + view.height) / ROW) + MARGIN));
  useEffect(() => rows.want(first, last), [first, last, rows.source]);
  const error = useUnsaid(rows.error);
  const now = useNow(1000);
  const shown = useMemo(() => Array.from({ length: rows.total ? last - first + 1 : 0 }, (_, i) => first + i), [first, last, rows.total]);
  const keys = new Set();
  const latest = useRef({ selected, onSelect });
  latest.current = { selected, onSelect };
  // The same function each time, so that scrolling draws only the rows that come into view.
  const toggle = useMemo(() => (/** @type {Tree} */ job) => {
    const states = new Map(latest.current.selected);
    if (!states.delete(job.JobId)) states.set(job.JobId, job.State);
    latest.current.onSelect(states);
  }, []);
  if (error && !rows.isLoaded) return html`<${Problem} error=${error} />`;
  if (!rows.isLoaded) return html`<p class="soft">${t("working")}</p>`;
  if (!rows.total && !rows.isSearching) return html`<${NoJobs} route=${route} />`;
  return html`<div class="rows" style=${{ "--rows": rows.total }} ref=${element} role="table" aria-label=${t("nav.jobs")} aria-rowcount=${rows.total} tabindex="0">
      <div class="head row" role="row">
        ${isSelectable && html`<span role="columnheader" class="check"><span class="hidden">${t("jobs.select")}</span></span>`}
        ${["name", "mode", "level", "duration", "state", "progress", "age"].map((name) => html`<span key=${name} role="columnheader">${t(`column.${name}`)}</span>`)}
      </div>
      <div role="rowgroup" class="space" style=${{ height: `${rows.total * ROW}px` }}>
        ${shown.map((index) => {
          const job = rows.row(index);
          // A row stays that of its job when others come before it, so that the focus stays with the job.
          const key = job && !keys.has(job.JobId) ? job.JobId : index;
          keys.add(key);
          return html`<${Row} key=${key} index=${index} job=${job} now=${now} isSelected=${Boolean(job && selected.has(job.JobId))} onToggle=${isSelectable ? toggle : null} />`;
        })}
      </div>
    </div>
    <${Problem} error=${error} />
    <p class="soft small" aria-live="polite">${rows.isSearching ? t("jobs.searching", { n: number(rows.total) }) : t("jobs.total", { n: number(rows.total) })}</p>`;
}

/** @param {{route: Route}} props */
function NoJobs({ route }) {
  const { can } = usePage();
  if (route.text || route.from || route.to || route.state || route.queue || route.batch)
    return html`<${Empty} title=${t("jobs.noneFound")}><p>${t("jobs.noneFoundHint")}</p><//>`;
  return html`<${Empty} title=${t("jobs.none")}>
    <p>${t("jobs.noneHint")}</p>
    ${can("submit") && html`<${Link} to=${{ view: "new" }} class="button primary">${t("jobs.new")}<//>`}
  <//>`;
}

/** @typedef {{index: number, job: Tree | undefined, now: number, isSelected: boolean, onToggle: ((job: Tree) => void) | null}} Shown */

/** A row, which is made anew only when what it shows has changed. @param {Shown} props */
function Row(props) {
  return useMemo(() => drawn(props), [...Object.values(props), language()]);
}

/** @param {Shown} props */
function drawn({ index, job, now, isSelected, onToggle }) {
  const place = { transform: `translateY(${index * ROW}px)` };
  if (!job) return html`<div class="row" role="row" aria-rowindex=${index + 2} style=${place}><span role="cell" class="soft name">…</span></div>`;
  const name = shownName(job.Key);
  const isWaiting = job.State === "Submitted" || job.State === "Pause";
  const percent = job.State === "Success" ? 100 : Number(job.Progress);
  return html`<div class="row ${isSelected ? "selected" : ""}" role="row" aria-rowindex=${index + 2} style=${place} data-job=${job.JobId}>
    ${onToggle && html`<span role="cell" class="check"><input type="checkbox" aria-label=${t("jobs.selectOne", { name })} checked=${isSelected} onChange=${() => onToggle(job)} /></span>`}
    <span role="cell" class="name"><${Link} to=${{ view: "job", job: job.JobId }} title=${visible(job.Key)}><bdi>${name}</bdi><//>
      <small class="soft">${visible(job.UserData || job.Key)}</small></span>
    <span role="cell" class="mode">${t(`mode.${job.Mode}`)}</span>
    <span role="cell" class="level">${job.Level}</span>
    <span role="cell" class="duration">${job.Duration ? duration(Number(job.Duration)) : "–"}</span>
    <span role="cell" class="state-cell"><${State} name=${job.State} />
      ${job.Message && html`<small class="soft" title=${job.Message}>${job.State === "Failed" ? job.Code : job.Message}</small>`}</span>
    <span role="cell" class="progress">${job.State === "Running" ? html`<progress max="100" value=${percent} aria-label=${t("progressOf", { name })}></progress><small>${job.Stage && html`<span class="stage">${t(`stage.${job.Stage}`)} · </span>`}${percent} % · ${t("jobs.remaining", { left: remaining(job, now) })}</small>` : isWaiting ? waits(job, now).map((line) => html`<small key=${line} class="soft">${line}</small>`) : html`<small class="soft">${took(job)}</small>`}</span>
    <span role="cell" class="age" title=${time(job.Created)}>${duration(Math.max(0, now - Number(job.Created)) / 1e6)}</span>
  </div>`;
}

/** How long a running job may still take: the service's estimate unless it has passed, else one by its progress so far. @param {Tree} job @param {number} now */
export function remaining(job, now) {
  if (Number(job.EstimatedEnd) > now) return `≈ ${duration((Number(job.EstimatedEnd) - now) / 1e6)}`;
  const share = Number(job.Progress) / 100;
  const ran = Math.max(0, now - Number(job.Started)) / 1e6;
  return share > 0.05 ? `≈ ${duration((ran * (1 - share)) / share)}` : "…";
}

/** Where a waiting job is, and that no worker takes it or when it is expected to start, unless that has passed, in lines. @param {Tree} job @param {number} now @returns {string[]} */
export function waits(job, now) {
  if (job.NotBefore && Number(job.NotBefore) > now) return [t("jobs.notBefore", { time: time(job.NotBefore) })];
  const unserved = job.WaitReason && !job.Message ? [t("jobs.noWorker")] : [];
  if (!job.Position) return unserved.length ? unserved : [t("jobs.waits")];
  const place = t("jobs.position", { n: number(job.Position) });
  if (unserved.length) return [place, ...unserved];
  if (!(Number(job.EstimatedStart) > now)) return [place];
  return [place, t("jobs.starts", { time: duration((Number(job.EstimatedStart) - now) / 1e6) })];
}

/** @param {Tree} job */
function took(job) {
  return job.Started && job.Ended ? t("jobs.took", { time: duration((Number(job.Ended) - Number(job.Started)) / 1e6) }) : "";
}

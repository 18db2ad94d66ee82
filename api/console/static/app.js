// The page: who is signed in, which view is open.
import { Api, ApiError, sentence } from "./api.js";
import { Events } from "./events.js";
import { keepFocus } from "./focus.js";
import { current, go } from "./route.js";
import * as sessions from "./session.js";
import * as tabs from "./tabs.js";
import { choose, language, preferred, t } from "./text.js";
import { html, Lazy, Link, PageContext, Problem, THEMED, useNews, usePage, useTitle } from "./ui.js";
import { useEffect, useState } from "./vendor/hooks.js";
import { render } from "./vendor/preact.js";
import { Jobs } from "./views/jobs.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./ui.js").Page} Page */

const NEW = () => import("./views/new.js");
/** Views beside the jobs are loaded when they are opened; an address may name anything. @type {Map<string, () => Promise<any>>} */
const VIEWS = new Map(Object.entries({
  job: () => import("./views/job.js"),
  new: NEW,
  queues: () => import("./views/queues.js"),
  templates: () => import("./views/templates.js"),
  batches: () => import("./views/batches.js"),
  deliveries: () => import("./views/deliveries.js"),
  usage: () => import("./views/usage.js"),
  workers: () => import("./views/workers.js"),
}));
const LOGIN = () => import("./views/login.js");
const SWITCH = () => import("./views/switch.js");
/** How long what was done is shown. */
const SAID_MS = 6_000;
const TABS = ["jobs", "batches", "queues", "templates", "deliveries", "workers", "usage"];

/** Counts sessions: with a new one every view begins anew, so that nothing of the old one stays on the page. */
let opened = 0;

/** Sign in with a credential. @param {Session} session @returns {Promise<Omit<Page, "say">>} */
async function open(session) {
  const api = new Api(session);
  const answer = await api.call("GET", "/console/session");
  sessions.keep(session);
  tabs.show(session);
  const allowed = new Set(answer.Operation ?? []);
  const events = new Events(api);
  events.follow();
  opened += 1;
  return { number: opened, api, events, session: answer, can: (operation) => allowed.has(operation) };
}

function App() {
  const [page, setPage] = useState(/** @type {Page | null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [isReady, setReady] = useState(false);
  const [said, say] = useState("");
  useEffect(() => {
    const timer = said ? setTimeout(() => say(""), SAID_MS) : undefined;
    return () => clearTimeout(timer);
  }, [said]);
  /** Of a link that was opened while somebody else is signed in, here or in another tab. */
  const [linked, setLinked] = useState(/** @type {{from: string, to: Session} | null} */ (null));
  const [, redraw] = useState(0);

  /** @param {Session} session */
  const login = async (session) => {
    const opened = await open(session);
    setPage((before) => {
      before?.events.stop();
      return { ...opened, say };
    });
  };
  const logout = () => {
    sessions.forget();
    tabs.show(null);
    page?.events.stop();
    dispatchEvent(new Event("stemline.leave"));
    setPage(null);
    document.title = "Stemline";
  };
  useEffect(() => {
    const isBad = sessions.isBadLink(location);
    const link = sessions.fromLink(location, history);
    const kept = sessions.kept();
    /** Sign in by a link, after a question if somebody else is signed in. @param {Session | null} link */
    const follow = async (link) => {
      if (!link) return;
      const own = sessions.kept();
      if (own && sessions.isSame(link, own)) return;
      const from = own ? sessions.nameOf(own) : await tabs.another(link);
      if (from) setLinked({ from, to: link });
      else await login(link);
    };
    /** Say that a link is damaged. */
    const refuse = () => {
      say(t("login.badLink"));
      setError(new Error(t("login.badLink")));
    };
    choose(preferred())
      .then(() => (kept ? login(kept) : undefined))
      .catch(setError)
      .then(() => (isBad ? refuse() : follow(link)))
      .catch(setError)
      .finally(() => setReady(true));
    // A log-in link that is opened in this tab again changes the fragment alone.
    const onHash = () => {
      if (sessions.isBadLink(location)) refuse();
      follow(sessions.fromLink(location, history)).catch(setError);
    };
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  }, []);

  if (!isReady) return html`<main class="login"><p class="soft">${t("working")}</p></main>`;
  const changeLanguage = () => choose(language() === "zh" ? "en" : "zh").then(() => redraw((before) => before + 1), () => say(t("error.unreachable")));
  const asked = linked && html`<${Lazy} load=${SWITCH} from=${linked.from} to=${linked.to} onClose=${() => setLinked(null)} onYes=${async () => {
    dispatchEvent(new Event("stemline.leave"));
    await login(linked.to);
  }} />`;
  if (!page) return html`<${Lazy} load=${LOGIN} onLogin=${login} error=${error} />${asked}`;
  return html`<${PageContext.Provider} value=${page}>
    <${Frame} key=${page.number} onLogout=${logout} onLogin=${login} onLanguage=${changeLanguage} />
    <div class="said" role="status">${said}</div>${asked}
  <//>`;
}

/** @param {{onLogout: () => void, onLogin: (session: Session) => Promise<void>, onLanguage: () => void}} props */
function Frame({ onLogout, onLogin, onLanguage }) {
  const { api, session, can, say } = usePage();
  const [route, setRoute] = useState(current());
  const [theme, setTheme] = useState(localStorage.getItem("stemline.theme") ?? "");
  useEffect(() => {
    const follow = () => setRoute(current());
    addEventListener("popstate", follow);
    follow(); // what came before anybody listened
    return () => removeEventListener("popstate", follow);
  }, []);
  useEffect(() => {
    // On a phone they may lie beside what can be seen.
    for (const each of document.querySelectorAll("nav [aria-current], .filters [aria-pressed='true']")) each.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [route]);
  useEffect(() => {
    // A file that is dropped beside the field would take the place of the page.
    const over = (/** @type {DragEvent} */ event) => event.preventDefault();
    const drop = async (/** @type {DragEvent} */ event) => {
      event.preventDefault();
      const files = [...(event.dataTransfer?.files ?? [])];
      if (!files.length) return;
      if (!can("upload") || !can("submit")) return say(t("upload.notAllowed"));
      try {
        (await NEW()).take(files);
      } catch {
        return say(t("error.unreachable"));
      }
      if (current().view !== "new") go({ view: "new" });
    };
    addEventListener("dragover", over);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", drop);
    };
  }, []);
  useEffect(() => {
    document.documentElement.style.colorScheme = theme;
    localStorage.setItem("stemline.theme", theme);
    dispatchEvent(new Event(THEMED));
  }, [theme]);
  const isDark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  return html`<a class="skip" href="#main">${t("skip")}</a>
    <header>
      <${Link} to=${{ view: "jobs" }} class="brand"><img src="/console/static/icon.svg" alt="" width="22" height="22" /> <span>Stemline</span><//>
      <nav aria-label=${t("nav")}>
        ${TABS.map((name) => html`<${Link} key=${name} to=${{ view: name }} current=${route.view === name || (name === "jobs" && route.view === "job")}>${t(`nav.${name}`)}<//>`)}
        ${session.FlowerUrl && html`<a href=${session.FlowerUrl} target="_blank" rel="noopener">Flower</a>`}
      </nav>
      <div class="tools">
        <${Buckets} onLogin=${onLogin} />
        <button type="button" class="small" onClick=${() => setTheme(isDark ? "light" : "dark")} aria-label=${t(isDark ? "theme.light" : "theme.dark")}>${isDark ? "☀" : "☾"}</button>
        <button type="button" class="small" onClick=${onLanguage} lang=${language() === "zh" ? "en" : "zh-CN"}>${language() === "zh" ? "English" : "中文"}</button>
        <button type="button" class="small" onClick=${onLogout} title=${sessions.nameOf(api.session)}>${t("logout")}</button>
      </div>
    </header>
    <${Trouble} onLogout=${onLogout} />
    <main id="main" tabindex="-1"><${View} route=${route} /></main>`;
}

/** The bucket that is shown; a choice where the credential may use several. @param {{onLogin: (session: Session) => Promise<void>}} props */
function Buckets({ onLogin }) {
  const { api, session, say } = usePage();
  /** @type {{Bucket: string, Region: string}[]} */
  const open = session.OpenBucket ?? [];
  const own = `${session.Region}/${session.Bucket}`;
  const names = [...new Set([own, ...open.map((each) => `${each.Region}/${each.Bucket}`)])];
  if (names.length === 1) return html`<span class="soft bucket" title=${own}>${session.Bucket}</span>`;
  /** @param {Event} event */
  const change = (event) => {
    const choice = /** @type {HTMLSelectElement} */ (event.target);
    const [region = "", bucket = ""] = choice.value.split("/");
    go({ view: current().view ?? "jobs" });
    onLogin({ ...api.session, region, bucket }).catch((error) => {
      choice.value = own;
      say(sentence(error));
    });
  };
  return html`<select class="small bucket" aria-label=${t("bucket")} value=${own} onChange=${change}>
    ${names.map((name) => html`<option key=${name} value=${name}>${name.slice(name.indexOf("/") + 1)}</option>`)}
  </select>`;
}

/** What keeps the page from being current; keys that were taken away or changed are asked for anew. @param {{onLogout: () => void}} props */
function Trouble({ onLogout }) {
  const { error } = useNews();
  if (!error) return null;
  const isRefused = error instanceof ApiError && error.status === 403;
  return html`<div class="trouble"><${Problem} error=${error} />${isRefused && html`<button type="button" class="small" onClick=${onLogout}>${t("login.again")}</button>`}</div>`;
}

/** @param {{route: import("./route.js").Route}} props */
function View({ route }) {
  const name = route.view ?? "jobs";
  const load = VIEWS.get(name);
  // A job and a batch name themselves.
  useTitle(name === "job" || (name === "batches" && route.batch) ? undefined : t(name === "new" ? "jobs.new" : load ? `nav.${name}` : "nav.jobs"));
  return load ? html`<${Lazy} load=${load} route=${route} />` : html`<${Jobs} route=${route} />`;
}

keepFocus();
render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));

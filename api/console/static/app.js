// The page: who is signed in, which view is open.
import { Api } from "./api.js";
import { Events } from "./events.js";
import { current, go } from "./route.js";
import * as sessions from "./session.js";
import { choose, language, preferred, t } from "./text.js";
import { html, Link, PageContext, Problem, useNews, usePage } from "./ui.js";
import { useEffect, useState } from "./vendor/hooks.js";
import { render } from "./vendor/preact.js";
import { Jobs } from "./views/jobs.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./ui.js").Page} Page */

/** Views beside the jobs are loaded when they are opened. @type {Record<string, () => Promise<any>>} */
const VIEWS = {
  job: () => import("./views/job.js"),
  new: () => import("./views/new.js"),
  queues: () => import("./views/queues.js"),
  templates: () => import("./views/templates.js"),
  deliveries: () => import("./views/deliveries.js"),
  workers: () => import("./views/workers.js"),
};
const LOGIN = () => import("./views/login.js");
const TABS = ["jobs", "queues", "templates", "deliveries", "workers"];

/** Sign in with a credential. @param {Session} session @returns {Promise<Omit<Page, "say">>} */
async function open(session) {
  const api = new Api(session);
  const answer = await api.call("GET", "/console/session");
  sessions.keep(session);
  const allowed = new Set(answer.Operation ?? []);
  const events = new Events(api);
  events.follow();
  return { api, events, session: answer, can: (operation) => allowed.has(operation) };
}

function App() {
  const [page, setPage] = useState(/** @type {Page | null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [isReady, setReady] = useState(false);
  const [said, say] = useState("");
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
    page?.events.stop();
    setPage(null);
  };
  useEffect(() => {
    const session = sessions.fromLink(location, history) ?? sessions.kept();
    choose(preferred())
      .then(() => (session ? login(session) : undefined))
      .catch(setError)
      .finally(() => setReady(true));
    // A log-in link that is opened in this tab again changes the fragment alone.
    const onHash = () => {
      const linked = sessions.fromLink(location, history);
      if (linked) login(linked).catch(setError);
    };
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  }, []);

  if (!isReady) return html`<main class="login"><p class="soft">${t("working")}</p></main>`;
  const changeLanguage = () => choose(language() === "zh" ? "en" : "zh").then(() => redraw((before) => before + 1));
  if (!page) return html`<${Lazy} load=${LOGIN} onLogin=${login} error=${error} />`;
  return html`<${PageContext.Provider} value=${page}>
    <${Frame} onLogout=${logout} onLogin=${login} onLanguage=${changeLanguage} />
    <div class="said" role="status">${said}</div>
  <//>`;
}

/** @param {{onLogout: () => void, onLogin: (session: Session) => Promise<void>, onLanguage: () => void}} props */
function Frame({ onLogout, onLogin, onLanguage }) {
  const { session } = usePage();
  const [route, setRoute] = useState(current());
  const [theme, setTheme] = useState(localStorage.getItem("stemline.theme") ?? "");
  useEffect(() => {
    const follow = () => setRoute(current());
    addEventListener("popstate", follow);
    return () => removeEventListener("popstate", follow);
  }, []);
  useEffect(() => {
    document.documentElement.style.colorScheme = theme;
    localStorage.setItem("stemline.theme", theme);
  }, [theme]);
  const isDark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  return html`<a class="skip" href="#main">${t("skip")}</a>
    <header>
      <${Link} to=${{ view: "jobs" }} class="brand"><img src="/console/static/icon.svg" alt="" width="22" height="22" /> Stemline<//>
      <nav aria-label=${t("nav")}>
        ${TABS.map((name) => html`<${Link} key=${name} to=${{ view: name }} current=${route.view === name || (name === "jobs" && route.view === "job")}>${t(`nav.${name}`)}<//>`)}
        ${session.FlowerUrl && html`<a href=${session.FlowerUrl} target="_blank" rel="noopener">Flower</a>`}
      </nav>
      <div class="tools">
        <${Buckets} onLogin=${onLogin} />
        <button type="button" class="small" onClick=${() => setTheme(isDark ? "light" : "dark")} aria-label=${t(isDark ? "theme.light" : "theme.dark")}>${isDark ? "☀" : "☾"}</button>
        <button type="button" class="small" onClick=${onLanguage} lang=${language() === "zh" ? "en" : "zh-CN"}>${language() === "zh" ? "English" : "中文"}</button>
        <button type="button" class="small" onClick=${onLogout}>${t("logout")}</button>
      </div>
    </header>
    <${Trouble} />
    <main id="main" tabindex="-1"><${View} route=${route} /></main>`;
}

/** The bucket that is shown; a choice where the credential may use several. @param {{onLogin: (session: Session) => Promise<void>}} props */
function Buckets({ onLogin }) {
  const { api, session } = usePage();
  /** @type {{Bucket: string, Region: string}[]} */
  const open = session.OpenBucket ?? [];
  const own = `${session.Region}/${session.Bucket}`;
  const names = [...new Set([own, ...open.map((each) => `${each.Region}/${each.Bucket}`)])];
  if (names.length === 1) return html`<span class="soft bucket" title=${own}>${session.Bucket}</span>`;
  /** @param {Event} event */
  const change = (event) => {
    const [region = "", bucket = ""] = /** @type {HTMLSelectElement} */ (event.target).value.split("/");
    go({ view: current().view ?? "jobs" });
    onLogin({ ...api.session, region, bucket });
  };
  return html`<select class="small bucket" aria-label=${t("bucket")} value=${own} onChange=${change}>
    ${names.map((name) => html`<option key=${name} value=${name}>${name.slice(name.indexOf("/") + 1)}</option>`)}
  </select>`;
}

/** What keeps the page from being current. */
function Trouble() {
  const { error } = useNews();
  return error ? html`<div class="trouble"><${Problem} error=${error} /></div>` : null;
}

/** @param {{route: import("./route.js").Route}} props */
function View({ route }) {
  const load = VIEWS[route.view ?? "jobs"];
  return load ? html`<${Lazy} load=${load} route=${route} />` : html`<${Jobs} route=${route} />`;
}

/** A component of a module that is loaded when it is shown. @param {{load: () => Promise<any>, [property: string]: unknown}} props */
function Lazy({ load, ...others }) {
  const [loaded, setLoaded] = useState(/** @type {{load: unknown, Shown: any} | null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  useEffect(() => {
    setError(null);
    load().then((module) => setLoaded({ load, Shown: module.default }), setError);
  }, [load]);
  if (error) return html`<${Problem} error=${error} />`;
  return loaded?.load === load ? html`<${loaded.Shown} ...${others} />` : html`<p class="soft">${t("working")}</p>`;
}

render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));

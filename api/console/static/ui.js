// What all views share: templates, the context of the page, and small components.
import { ApiError, mayPass, sentence } from "./api.js";
import { now } from "./clock.js";
import { keepBelow } from "./focus.js";
import { address, go } from "./route.js";
import { t } from "./text.js";
import { useContext, useEffect, useRef, useState } from "./vendor/hooks.js";
import htm from "./vendor/htm.js";
import { createContext, h } from "./vendor/preact.js";

export const html = htm.bind(h);

/** Event of the window: the page has other colours. */
export const THEMED = "stemline.theme";
/** What failed because the service did not answer is asked for again after so long, ms. */
const RETRY_MS = 4_000;

/** @typedef {Record<string, any>} Tree */
/**
 * @typedef {object} Page
 * @property {number} number of the session, counted in this tab
 * @property {import("./api.js").Api} api
 * @property {import("./events.js").Events} events
 * @property {Tree} session what /console/session answers
 * @property {(operation: string) => boolean} can
 * @property {(text: string) => void} say announce that something was done
 */

/** @type {import("./vendor/preact.js").Context<Page>} */
export const PageContext = createContext(/** @type {Page} */ (/** @type {unknown} */ (null)));

/** @returns {Page} */
export function usePage() {
  return useContext(PageContext);
}

/** The latest news, and a new render with each. @returns {import("./events.js").News} */
export function useNews() {
  const { events } = usePage();
  const [news, setNews] = useState(events.news);
  useEffect(() => {
    setNews(events.news); // what came before anybody listened
    return events.subscribe(setNews);
  }, [events]);
  return news;
}

/** Name the page in the tab of the browser. @param {string | undefined} text empty for none */
export function useTitle(text) {
  useEffect(() => {
    if (text !== undefined) document.title = text ? `${text} · Stemline` : "Stemline";
  }, [text]);
}

/** The time of the service, µs since the epoch, anew at each interval. @param {number} everyMs @param {boolean} [isOn] */
export function useNow(everyMs, isOn = true) {
  const [time, setTime] = useState(now() * 1000);
  useEffect(() => {
    if (!isOn) return;
    const timer = setInterval(() => setTime(now() * 1000), everyMs);
    return () => clearInterval(timer);
  }, [everyMs, isOn]);
  return time;
}

/**
 * Load something now and whenever `keys` change, and again while the service does not answer; a newer load supersedes
 * an older one.
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {unknown[]} keys
 * @returns {{value: T | undefined, error: unknown, reload: () => void}}
 */
export function useLoad(load, keys) {
  const [state, setState] = useState(/** @type {{value: T | undefined, error: unknown}} */ ({ value: undefined, error: null }));
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    let timer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
    load(stop.signal).then(
      (value) => !stop.signal.aborted && setState({ value, error: null }),
      (error) => {
        if (stop.signal.aborted) return;
        setState((before) => ({ ...before, error }));
        if (mayPass(error)) timer = setTimeout(() => setTurn((before) => before + 1), RETRY_MS);
      },
    );
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [...keys, turn]);
  return { value: state.value, error: useUnsaid(state.error), reload: () => setTurn((before) => before + 1) };
}

/** An error of a request for data, unless the page says already that the service does not answer. @param {unknown} error */
export function useUnsaid(error) {
  const { events } = usePage();
  return isSilence(error) && isSilence(events.news.error) ? null : error;
}

/** @param {unknown} error */
function isSilence(error) {
  return error instanceof ApiError && error.status === 0;
}

/**
 * Run an action of a button, one at a time, and show what went wrong. A button is `aria-disabled` meanwhile: were it
 * disabled, it would lose the focus.
 * @returns {{run: (action: () => Promise<unknown>) => Promise<void>, busy: boolean, error: unknown}}
 */
export function useAction() {
  const [state, setState] = useState(/** @type {{busy: boolean, error: unknown}} */ ({ busy: false, error: null }));
  const isRunning = useRef(false);
  /** @param {() => Promise<unknown>} action */
  const run = async (action) => {
    if (isRunning.current) return;
    isRunning.current = true;
    setState({ busy: true, error: null });
    try {
      await action();
      setState({ busy: false, error: null });
    } catch (error) {
      setState({ busy: false, error });
    } finally {
      isRunning.current = false;
    }
  };
  return { run, ...state };
}

/** Counts how often the colours of the page have changed, for what is drawn in them. @returns {number} */
export function useColours() {
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const change = () => setTurn((before) => before + 1);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", change);
    addEventListener(THEMED, change);
    return () => {
      dark.removeEventListener("change", change);
      removeEventListener(THEMED, change);
    };
  }, []);
  return turn;
}

/**
 * A component of a module that is loaded when it is shown; while the service does not answer, it is asked again.
 * @param {{load: () => Promise<any>, [property: string]: unknown}} props
 */
export function Lazy({ load, ...others }) {
  const [loaded, setLoaded] = useState(/** @type {{load: unknown, Shown: any} | null} */ (null));
  const [isMissing, setMissing] = useState(false);
  useEffect(() => {
    let timer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
    let isGone = false;
    const attempt = () =>
      load().then(
        (module) => isGone || setLoaded({ load, Shown: module.default }),
        () => {
          if (isGone) return;
          setMissing(true);
          timer = setTimeout(attempt, RETRY_MS);
        },
      );
    setMissing(false);
    attempt();
    return () => {
      isGone = true;
      clearTimeout(timer);
    };
  }, [load]);
  if (loaded?.load === load) return html`<${loaded.Shown} ...${others} />`;
  return isMissing ? html`<${Problem} error=${new ApiError(0, "", "", "")} />` : html`<p class="soft">${t("working")}</p>`;
}

/** An error as a sentence, with the id of the request. @param {{error: unknown}} props */
export function Problem({ error }) {
  if (!error) return null;
  const id = error instanceof ApiError ? error.requestId : "";
  return html`<div class="problem" role="alert">
    <span>${sentence(error)}</span>
    ${id && html`<span class="mono id">${t("error.request")} ${id}</span>`}
  </div>`;
}

/** A link to another view of the page. @param {{to: Record<string, string | undefined>, class?: string, children?: unknown, current?: boolean, title?: string}} props */
export function Link({ to, class: style, children, current, title }) {
  /** @param {MouseEvent} event */
  const follow = (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(to);
  };
  return html`<a href=${address(to)} class=${style} title=${title} aria-current=${current ? "page" : undefined} onClick=${follow}>${children}</a>`;
}

/** The state of a job or a queue. @param {{name: string}} props */
export function State({ name }) {
  return html`<span class="state ${name}">${t(`state.${name}`)}</span>`;
}

/** @param {{title: string, children?: unknown}} props */
export function Empty({ title, children }) {
  return html`<div class="empty"><p class="title">${title}</p>${children}</div>`;
}

/**
 * A window over the page; Escape closes it.
 * @param {{title: string, onClose: () => void, children?: unknown}} props
 */
export function Dialog({ title, onClose, children }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const giveBack = keepBelow();
    element.current?.showModal();
    return giveBack;
  }, []);
  return html`<dialog ref=${element} aria-label=${title} onClose=${onClose}>
    <div class="bar"><h2>${title}</h2><button type="button" class="small" onClick=${onClose}>${t("close")}</button></div>
    ${children}
  </dialog>`;
}

/**
 * Ask before something that cannot be undone.
 * @param {{title: string, text: string, yes: string, onYes: () => Promise<unknown>, onClose: () => void}} props
 */
export function Confirm({ title, text, yes, onYes, onClose }) {
  const action = useAction();
  const confirm = () => action.run(async () => {
    await onYes();
    onClose();
  });
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <p>${text}</p>
    <${Problem} error=${action.error} />
    <div class="buttons">
      <button type="button" class="danger" aria-disabled=${action.busy} onClick=${confirm}>${action.busy ? t("working") : yes}</button>
      <button type="button" autofocus onClick=${onClose}>${t("no")}</button>
    </div>
  <//>`;
}

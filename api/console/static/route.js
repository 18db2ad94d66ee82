// The view and its filters, kept in the query of the address.

/** @typedef {Record<string, string>} Route */

/** The service takes no larger number of a page. */
const MAX_PAGES = 999_999_999;

/** @returns {Route} */
export function current() {
  return { view: "jobs", ...Object.fromEntries(new URLSearchParams(location.search)) };
}

/** The page of a list that a route names, from 1. @param {Route} route */
export function pageOf({ page }) {
  return Math.max(1, Math.min(MAX_PAGES, Math.floor(Number(page)) || 1));
}

/** Return the address of a view. @param {Record<string, string | number | undefined>} route */
export function address(route) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(route))
    if (value !== undefined && value !== "" && !(name === "view" && value === "jobs")) query.set(name, String(value));
  const text = query.toString();
  return location.pathname + (text ? `?${text}` : "");
}

/** Go to a view. @param {Record<string, string | number | undefined>} route @param {{replace?: boolean}} [how] */
export function go(route, { replace = false } = {}) {
  const to = address(route);
  if (to !== location.pathname + location.search) history[replace ? "replaceState" : "pushState"](null, "", to);
  dispatchEvent(new PopStateEvent("popstate"));
}

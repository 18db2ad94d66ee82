// The view and its filters, kept in the query of the address.

/** @typedef {Record<string, string>} Route */

/** @returns {Route} */
export function current() {
  return { view: "jobs", ...Object.fromEntries(new URLSearchParams(location.search)) };
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

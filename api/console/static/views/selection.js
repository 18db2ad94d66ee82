// The selected jobs of a list. Whatever happens to them, seen or not, only those that the list still holds are selected.
import { useNews, usePage } from "../ui.js";
import { useEffect, useRef, useState } from "../vendor/hooks.js";

/** @typedef {Map<string, string>} States of jobs by their ids */

/** Jobs that one request names. */
const AT_ONCE = 100;

/**
 * Return the selected jobs as they are now: without those that are gone, or whose state the list does not show.
 * @param {Pick<import("../api.js").Api, "call">} api
 * @param {States} selected
 * @param {string} state of the list; empty for all
 * @returns {Promise<States>}
 */
export async function current(api, selected, state) {
  const ids = [...selected.keys()];
  /** @type {States} */
  const found = new Map();
  for (let i = 0; i < ids.length; i += AT_ONCE) {
    const { Job = [] } = await api.call("GET", "/console/jobs", { query: { ids: ids.slice(i, i + AT_ONCE).join(",") } });
    for (const job of Job) if (isShown(job.State, state)) found.set(job.JobId, job.State);
  }
  return found;
}

/** Whether a list of a state shows jobs of another one: those that wait may be paused. @param {string} state @param {string} listed */
function isShown(state, listed) {
  return !listed || state === listed || (listed === "Submitted" && state === "Pause");
}

/**
 * The selection of a list, which follows the jobs; a list with other filters begins with none.
 * @param {import("../route.js").Route} route
 * @returns {[States, (states: States) => void]}
 */
export function useSelection(route) {
  const { api } = usePage();
  const { turn } = useNews();
  const [selected, setSelected] = useState(/** @type {States} */ (new Map()));
  const latest = useRef(selected);
  latest.current = selected;
  const { state = "", text, from, to, queue, batch } = route;
  const filters = [state, text, from, to, queue, batch].join("\n");
  const before = useRef(filters);
  useEffect(() => {
    if (before.current !== filters && selected.size) setSelected(new Map());
    before.current = filters;
  }, [filters]);
  const asking = useRef({ filters, last: 0, taken: 0 });
  asking.current.filters = filters;
  useEffect(() => {
    const asked = latest.current;
    if (!asked.size) return;
    asking.current.last += 1;
    const number = asking.current.last;
    current(api, asked, state).then(
      (found) => {
        const now = asking.current;
        if (now.filters !== filters || now.taken > number) return;
        now.taken = number;
        // What was chosen meanwhile stays as it was chosen.
        setSelected((each) => new Map([...each].filter(([id]) => found.has(id) || !asked.has(id)).map(([id, old]) => [id, found.get(id) ?? old])));
      },
      () => {}, // that the service does not answer is said above
    );
  }, [turn, filters, api]);
  return [selected, setSelected];
}

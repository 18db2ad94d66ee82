// The time, as the service tells it: the clock of this computer may be wrong, so no other module asks it.
// Between answers the browser's timer goes on from there, which nobody can set.

/** By how much an answer may differ before the time is taken from it, ms: its header is in whole seconds. */
const TOLERANCE_MS = 2_000;

/** Time of the API less the browser's timer, ms; null while there was no answer. @type {number | null} */
let ofApi = null;
/** The same of the store, which the times of jobs come from. @type {number | null} */
let ofStore = null;

/** Learn from the Date header of an answer. @param {string | null} date */
export function answered(date) {
  const at = Date.parse(date ?? "");
  if (Number.isNaN(at)) return;
  const found = at + 500 - performance.now();
  if (ofApi !== null && Math.abs(found - ofApi) <= TOLERANCE_MS) return;
  ofApi = found;
  ofStore = null; // the computer slept, perhaps: its timer stood still
}

/** Learn the time of the store. @param {string | number | undefined} micros since the epoch */
export function reported(micros) {
  if (Number(micros)) ofStore = Number(micros) / 1000 - performance.now();
}

/** The time of the API, ms since the epoch; that of this computer before the first answer. */
export function timeOfApi() {
  return ofApi === null ? Date.now() : ofApi + performance.now();
}

/** The time that times of jobs are compared with, ms since the epoch. */
export function now() {
  return ofStore === null ? timeOfApi() : ofStore + performance.now();
}

/** Seconds from a time on, µs since the epoch; 0 if it is still to come. @param {number | string} micros */
export function secondsSince(micros) {
  return Math.max(0, now() / 1000 - Number(micros) / 1e6);
}

/** Forget what was learnt, for tests. */
export function forget() {
  ofApi = null;
  ofStore = null;
}

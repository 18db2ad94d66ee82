// Other tabs of this browser: each holds a lock that is named like its session, never like its key.
import * as sessions from "./session.js";

const PREFIX = "stemline signed in as ";
/** Lets go of this tab's lock. @type {() => void} */
let release = () => {};

/** Let other tabs see who is signed in here; nobody if null. @param {import("./session.js").Session | null} session */
export function show(session) {
  release();
  if (!session || !navigator.locks) return;
  const until = new Promise((resolve) => (release = () => resolve(undefined)));
  navigator.locks.request(PREFIX + sessions.nameOf(session), { mode: "shared" }, () => until);
}

/**
 * Return the name of another session that a tab is signed in with, if there is one. Only a page by https or of this
 * computer can know.
 * @param {import("./session.js").Session} session
 * @returns {Promise<string | null>}
 */
export async function another(session) {
  const { held = [] } = navigator.locks ? await navigator.locks.query() : {};
  const names = held.map(({ name = "" }) => name).filter((name) => name.startsWith(PREFIX));
  return names.map((name) => name.slice(PREFIX.length)).find((name) => name !== sessions.nameOf(session)) ?? null;
}

// The credential of this tab. It is kept in sessionStorage alone, and never sent.

/**
 * @typedef {object} Session
 * @property {string} secretId
 * @property {string} secretKey
 * @property {string} [token] of a temporary credential
 * @property {string} [bucket] with `region`: instead of the bucket of the host name
 * @property {string} [region]
 */

const KEY = "stemline.session";
const FRAGMENT = "#login=";

/** Return the credential that this tab keeps. @returns {Session | null} */
export function kept() {
  const text = sessionStorage.getItem(KEY);
  return text ? parsed(text) : null;
}

/** @param {Session} session */
export function keep(session) {
  sessionStorage.setItem(KEY, JSON.stringify(session));
}

export function forget() {
  sessionStorage.removeItem(KEY);
}

/**
 * Return the credential of a log-in link, and take it out of the address.
 * @param {Location} location
 * @param {History} history
 * @returns {Session | null}
 */
export function fromLink(location, history) {
  if (!location.hash.startsWith(FRAGMENT)) return null;
  const text = location.hash.slice(FRAGMENT.length);
  history.replaceState(null, "", location.pathname + location.search);
  return decoded(text);
}

/** Whether the address is a log-in link that names no credential. @param {Location} location */
export function isBadLink(location) {
  return location.hash.startsWith(FRAGMENT) && !decoded(location.hash.slice(FRAGMENT.length));
}

/** Return the session in the text of a log-in link. @param {string} text @returns {Session | null} */
export function decoded(text) {
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return parsed(new TextDecoder().decode(Uint8Array.from(binary, (sign) => sign.charCodeAt(0))));
  } catch {
    return null;
  }
}

/** Whether two sessions are the same credential, looking at the same bucket. @param {Session} a @param {Session} b */
export function isSame(a, b) {
  return ["secretId", "secretKey", "token", "bucket", "region"].every((name) => Reflect.get(a, name) === Reflect.get(b, name));
}

/** What a session is called: its bucket, if it names one, and its SecretId. @param {Session} session */
export function nameOf(session) {
  return session.bucket ? `${session.secretId} (${session.bucket})` : session.secretId;
}

/** @param {string} text @returns {Session | null} */
function parsed(text) {
  try {
    const { secretId, secretKey, token, bucket, region } = JSON.parse(text);
    if (typeof secretId !== "string" || typeof secretKey !== "string" || !secretId || !secretKey) return null;
    const session = { secretId, secretKey };
    if (typeof token === "string" && token) Object.assign(session, { token });
    if (typeof bucket === "string" && typeof region === "string" && bucket && region)
      Object.assign(session, { bucket, region });
    return session;
  } catch {
    return null;
  }
}

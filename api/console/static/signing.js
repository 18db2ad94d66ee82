// The vendor's request signature (docs/wire/wire.md, 2), as the SDKs make it.
import { hashes } from "./hashes.js";

/** @typedef {{secretId: string, secretKey: string}} KeyPair */
/** @typedef {Record<string, string>} Texts */

/** How far before now a signature begins, and how long it is valid, s. */
const EARLY_S = 60;
const VALID_S = 600;

/** Return the percent-encoding with the unreserved set of RFC 3986. @param {string} text */
export function encode(text) {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Return the query string of parameters. @param {Texts} query */
export function queryString(query) {
  return Object.entries(query)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .join("&");
}

/**
 * Return the value of the Authorization header.
 * @param {KeyPair} keys
 * @param {string} method
 * @param {string} path decoded
 * @param {Texts} query decoded
 * @param {Texts} headers those to sign, `host` among them
 * @param {number} now Unix seconds
 * @param {Promise<import("./hashes.js").Hashes>} [from]
 * @returns {Promise<string>}
 */
export async function authorization(keys, method, path, query, headers, now, from = hashes()) {
  const { sha1, hmacSha1 } = await from;
  const times = `${now - EARLY_S};${now + VALID_S}`;
  const parameters = canonical(query);
  const signed = canonical(headers);
  const request = `${method.toLowerCase()}\n${path}\n${joined(parameters)}\n${joined(signed)}\n`;
  const text = `sha1\n${times}\n${await sha1(request)}\n`;
  const signature = await hmacSha1(await hmacSha1(keys.secretKey, times), text);
  return [
    "q-sign-algorithm=sha1",
    `q-ak=${keys.secretId}`,
    `q-sign-time=${times}`,
    `q-key-time=${times}`,
    `q-header-list=${signed.map(([name]) => name).join(";")}`,
    `q-url-param-list=${parameters.map(([name]) => name).join(";")}`,
    `q-signature=${signature}`,
  ].join("&");
}

/** @param {Texts} values @returns {[string, string][]} */
function canonical(values) {
  return Object.entries(values)
    .map(([name, value]) => /** @type {[string, string]} */ ([encode(name).toLowerCase(), encode(value)]))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** @param {[string, string][]} pairs */
function joined(pairs) {
  return pairs.map((pair) => pair.join("=")).join("&");
}

// SHA and HMAC: of the browser, which has them on https and localhost alone, else of a library.

/** @typedef {{sha1: (text: string) => Promise<string>, sha256: (text: string) => Promise<string>, hmacSha1: (key: string, text: string) => Promise<string>}} Hashes all in lower-case hex */

const encoder = new TextEncoder();

/** Return the hashes of WebCrypto. @param {SubtleCrypto} subtle @returns {Hashes} */
export function ofBrowser(subtle) {
  return {
    sha1: async (text) => hex(await subtle.digest("SHA-1", encoder.encode(text))),
    sha256: async (text) => hex(await subtle.digest("SHA-256", encoder.encode(text))),
    hmacSha1: async (key, text) => {
      const imported = await subtle.importKey("raw", encoder.encode(key), { name: "HMAC", hash: "SHA-1" }, false, ["sign"]);
      return hex(await subtle.sign("HMAC", imported, encoder.encode(text)));
    },
  };
}

/** Return the hashes of the vendored library. @returns {Promise<Hashes>} */
export async function ofLibrary() {
  const [{ hmac }, { sha1 }, { sha256 }, { bytesToHex, utf8ToBytes }] = await Promise.all([
    import("./vendor/noble/hmac.js"),
    import("./vendor/noble/legacy.js"),
    import("./vendor/noble/sha2.js"),
    import("./vendor/noble/utils.js"),
  ]);
  return {
    sha1: async (text) => bytesToHex(sha1(utf8ToBytes(text))),
    sha256: async (text) => bytesToHex(sha256(utf8ToBytes(text))),
    hmacSha1: async (key, text) => bytesToHex(hmac(sha1, utf8ToBytes(key), utf8ToBytes(text))),
  };
}

/** @type {Promise<Hashes> | undefined} */
let chosen;

/** @returns {Promise<Hashes>} */
export function hashes() {
  const { subtle } = globalThis.crypto;
  chosen ??= subtle ? Promise.resolve(ofBrowser(subtle)) : ofLibrary();
  return chosen;
}

/** @param {ArrayBuffer} bytes */
function hex(bytes) {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

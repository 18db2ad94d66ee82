import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { ofBrowser, ofLibrary } from "../../../api/console/static/hashes.js";
import { authorization, encode } from "../../../api/console/static/signing.js";

test("requests are signed as the service's own signer does it, by the browser's hashes and by the library's", async () => {
  const vectors = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url), "utf8"));
  assert.equal(vectors.length, 3);
  for (const { method, path, query, headers, secretKey, authorization: expected } of vectors) {
    const keys = { secretId: "AKID", secretKey };
    for (const from of [Promise.resolve(ofBrowser(crypto.subtle)), ofLibrary()])
      assert.equal(await authorization(keys, method, path, query, headers, 1_790_000_000, from), expected);
  }
});

test("both kinds of hashes are the same", async () => {
  const texts = ["", "abc", "gé/+= 月亮".repeat(40)];
  const [browser, library] = [ofBrowser(crypto.subtle), await ofLibrary()];
  assert.equal(await library.sha1("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  for (const text of texts)
    for (const name of ["sha1", "sha256"]) assert.equal(await browser[name](text), await library[name](text));
});

test("everything but the unreserved set is encoded", () => {
  assert.equal(encode("aZ0-_.~!'()* /é"), "aZ0-_.~%21%27%28%29%2A%20%2F%C3%A9");
});

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { authorization, encode } from "../../../api/console/static/signing.js";

test("requests are signed as the service's own signer does it", () => {
  const vectors = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url), "utf8"));
  assert.equal(vectors.length, 3);
  for (const { method, path, query, headers, secretKey, authorization: expected } of vectors) {
    const keys = { secretId: "AKID", secretKey };
    assert.equal(authorization(keys, method, path, query, headers, 1_790_000_000), expected);
  }
});

test("everything but the unreserved set is encoded", () => {
  assert.equal(encode("aZ0-_.~!'()* /é"), "aZ0-_.~%21%27%28%29%2A%20%2F%C3%A9");
});

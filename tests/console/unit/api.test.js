import "./browser.js";
import assert from "node:assert/strict";
import test from "node:test";
import { forget } from "../../../api/console/static/clock.js";
import { Api, ApiError, sentence } from "../../../api/console/static/api.js";

const KEYS = { secretId: "AKID", secretKey: "k" };

function answer(status, body = {}, headers = {}) {
  return new Response(JSON.stringify(body), { status, headers });
}

/** An API whose requests are answered one after the other. */
function scripted(...answers) {
  const sent = [];
  const send = async (target, options) => {
    sent.push({ target, ...options });
    const next = answers.shift();
    if (next instanceof Error) throw next;
    return next;
  };
  return { sent, api: new Api(KEYS, send) };
}

test("a read is signed, and its empty parameters are left out", async () => {
  const { api, sent } = scripted(answer(200, { Total: "1" }));
  assert.deepEqual(await api.call("GET", "/console/jobs", { query: { size: 20, text: "", state: undefined } }), { Total: "1" });
  assert.equal(sent[0].target, "/console/jobs?size=20");
  assert.match(sent[0].headers.Authorization, /q-header-list=host&q-url-param-list=size&/);
  assert.equal(sent[0].headers["x-stemline-nonce"], undefined);
});

test("every part of a path is escaped, its slashes are not", async () => {
  const { api, sent } = scripted(answer(200));
  await api.call("GET", "/console/a b?c#d&e/ü%2f+;,", { query: { "k&": "v=#" } });
  assert.equal(sent[0].target, "/console/a%20b%3Fc%23d%26e/%C3%BC%252f%2B%3B%2C?k%26=v%3D%23");
});

test("a write signs a digest of its body, a nonce, the chosen bucket, and what changes its meaning", async () => {
  const { api, sent } = scripted(answer(200));
  api.session = { ...KEYS, bucket: "b-1", region: "r" };
  await api.call("PUT", "/asrqueue/p1", { body: { State: "Paused" } });
  const { headers, body } = sent[0];
  assert.match(headers.Authorization, /q-header-list=content-type;host;x-stemline-content-sha256;x-stemline-nonce;x-stemline-tenant&/);
  assert.equal(headers["x-stemline-tenant"], "r/b-1");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(body));
  assert.equal(headers["x-stemline-content-sha256"], Buffer.from(digest).toString("hex"));
  const keyed = scripted(answer(200));
  await keyed.api.call("POST", "/jobs", { body: {}, headers: { "Idempotency-Key": "k" } });
  assert.match(keyed.sent[0].headers.Authorization, /q-header-list=content-type;host;idempotency-key;/);
});

test("requests are repeated only where that is safe", async () => {
  const slow = () => answer(503, { Code: "SlowDown", Message: "m" });
  const lost = () => new TypeError("connection lost");
  const read = scripted(lost(), answer(200, { ok: "1" }));
  assert.deepEqual(await read.api.call("GET", "/queue"), { ok: "1" });
  const key = scripted(lost(), slow(), answer(200));
  await key.api.call("POST", "/jobs", { body: {}, headers: { "Idempotency-Key": "k" } });
  assert.equal(key.sent.length, 3);
  const plain = scripted(lost(), answer(200));
  await assert.rejects(plain.api.call("POST", "/uploads", { body: {} }), (error) => error.status === 0);
  assert.equal(plain.sent.length, 1);
});

test("each repetition has a nonce of its own", async () => {
  const { api, sent } = scripted(answer(503, { Code: "SlowDown" }), answer(200));
  await api.call("POST", "/template", { body: { Name: "n" } });
  assert.notEqual(sent[0].headers["x-stemline-nonce"], sent[1].headers["x-stemline-nonce"]);
});

test("a clock that is wrong, and a credential that wants nonces, are learnt from a refusal", async () => {
  const date = new Date(Date.now() + 3_600_000).toUTCString();
  const skewed = scripted(answer(403, { Code: "RequestTimeTooSkewed", Message: "m" }, { date }), answer(200));
  await skewed.api.call("GET", "/queue");
  const start = Number(/q-sign-time=(\d+)/.exec(skewed.sent[1].headers.Authorization)[1]);
  assert.ok(Math.abs(start - (Date.now() / 1000 + 3540)) < 5);
  forget();
  const message = "This credential must sign the headers x-stemline-content-sha256 and x-stemline-nonce.";
  const strict = scripted(answer(403, { Code: "SignatureDoesNotMatch", Message: message }), answer(200));
  await strict.api.call("GET", "/queue");
  assert.match(strict.sent[1].headers.Authorization, /q-header-list=host;x-stemline-content-sha256;x-stemline-nonce&/);
});

test("a wrong key is refused once", async () => {
  const { api, sent } = scripted(answer(403, { Code: "SignatureDoesNotMatch", Message: "m" }, { date: new Date().toUTCString() }));
  await assert.rejects(api.call("GET", "/queue"), ApiError);
  assert.equal(sent.length, 1);
});

test("an error is a sentence and keeps the id of the request", async () => {
  const { api } = scripted(answer(400, { Code: "InvalidArgument", Message: "Name is missing." }, { "x-ci-request-id": "NTk0" }));
  const error = await api.call("GET", "/queue").catch((each) => each);
  assert.equal(error.requestId, "NTk0");
  assert.equal(sentence(error), "InvalidArgument: Name is missing.");
  assert.match(sentence(new ApiError(0, "", "x", "")), /does not answer/);
  assert.match(sentence(new ApiError(403, "InvalidAccessKeyId", "m", "")), /does not know this SecretId/);
});

test("an answer that is not JSON is an error with its status", async () => {
  const { api } = scripted(new Response("<html>", { status: 502, statusText: "Bad Gateway" }));
  const error = await api.call("GET", "/queue").catch((each) => each);
  assert.deepEqual([error.status, error.message], [502, "Bad Gateway"]);
});

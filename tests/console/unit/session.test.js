import "./browser.js";
import assert from "node:assert/strict";
import test from "node:test";
import * as sessions from "../../../api/console/static/session.js";

const SESSION = { secretId: "AKID", secretKey: "gé/+=" };
const FULL = { ...SESSION, bucket: "media-1250000000", region: "ap-chongqing" };

test("a log-in link carries a credential and is taken out of the address", () => {
  const at = { pathname: "/console", search: "?view=queues", hash: `#login=${Buffer.from(JSON.stringify(FULL)).toString("base64url")}` };
  const seen = [];
  const history = { replaceState: (...given) => seen.push(given) };
  assert.deepEqual(sessions.fromLink(at, history), FULL);
  assert.deepEqual(seen, [[null, "", "/console?view=queues"]]);
});

test("a session is the same only for the same credential and bucket", () => {
  assert.ok(sessions.isSame(FULL, { ...FULL }));
  for (const change of [{ secretId: "B" }, { secretKey: "B" }, { token: "B" }, { bucket: "b-1" }, { region: "r" }])
    assert.ok(!sessions.isSame(FULL, { ...FULL, ...change }));
  assert.deepEqual([sessions.nameOf(SESSION), sessions.nameOf(FULL)], ["AKID", "AKID (media-1250000000)"]);
});

test("a credential is kept in the tab until it is forgotten", () => {
  sessions.keep(SESSION);
  assert.deepEqual(sessions.kept(), SESSION);
  sessions.forget();
  assert.equal(sessions.kept(), null);
});

test("what is no credential is none", () => {
  const link = (text) => ({ pathname: "/", search: "", hash: `#login=${text}` });
  const history = { replaceState() {} };
  for (const text of ["", "%%%", btoa("{"), btoa("{}"), btoa('{"secretId":1,"secretKey":"k"}'), btoa('{"secretId":"","secretKey":"k"}')])
    assert.equal(sessions.fromLink(link(text), history), null, text);
  assert.equal(sessions.fromLink({ pathname: "/", search: "", hash: "#main" }, history), null);
});

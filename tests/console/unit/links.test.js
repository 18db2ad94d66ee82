import "./browser.js";
import assert from "node:assert/strict";
import test from "node:test";
import { renewalMs } from "../../../api/console/static/player/links.js";

test("links that are valid for an hour are renewed every half hour", () => {
  assert.equal(renewalMs(3600), 30 * 60 * 1000);
});

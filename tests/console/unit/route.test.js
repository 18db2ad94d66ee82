import "./browser.js";
import assert from "node:assert/strict";
import test from "node:test";
import { address, pageOf } from "../../../api/console/static/route.js";

test("a page of a list is a whole number from 1 that the service takes, whatever the address says", () => {
  const pages = [undefined, "", "0", "-3", "1", "2.9", "x", "Infinity", "1e30"];
  assert.deepEqual(pages.map((page) => pageOf({ page })), [1, 1, 1, 1, 1, 2, 1, 999_999_999, 999_999_999]);
});

test("an address has what is not the default", () => {
  assert.equal(address({ view: "jobs", state: "", queue: undefined }), "/console");
  assert.equal(address({ view: "queues", text: "a b&c", page: 2 }), "/console?view=queues&text=a+b%26c&page=2");
});

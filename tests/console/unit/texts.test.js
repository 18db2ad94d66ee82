import "./browser.js";
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { t } from "../../../api/console/static/text.js";
import en from "../../../api/console/static/text/en.js";
import zh from "../../../api/console/static/text/zh.js";

const STATIC = new URL("../../../api/console/static/", import.meta.url);

test("both languages have the same texts with the same values", () => {
  assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
  const values = (text) => [...new Set([...text.matchAll(/\{\w+\}/g)].map(String))].sort();
  for (const [key, text] of Object.entries(en)) assert.deepEqual(values(zh[key]), values(text), key);
});

test("no text counts one of something as several", () => {
  const plural = Object.entries(en).filter(([, text]) => /\{n\} [a-z]+s\b/.test(text) && !text.includes(" | "));
  assert.deepEqual(plural, []);
});

test("every text that a view names exists", () => {
  const files = readdirSync(STATIC, { recursive: true }).filter((name) => name.endsWith(".js") && !/^(vendor|text)\//.test(name));
  const named = files.flatMap((name) => [...readFileSync(new URL(name, STATIC), "utf8").matchAll(/\bt\("([^"]+)"/g)].map((found) => found[1]));
  assert.ok(named.length > 100);
  assert.deepEqual(named.filter((key) => !(key in en)), []);
});

test("values are filled in, and other braces stay", () => {
  assert.equal(t("jobs.selected", { n: 3 }), "3 selected");
  assert.deepEqual([0, 1, "1", 2].map((n) => t("jobs.total", { n })), ["0 jobs", "1 job", "1 job", "2 jobs"]);
  assert.match(t("new.patternHint"), /\{stem\} .*\$\{jobid\}/);
  assert.equal(t("no such key", {}, "otherwise"), "otherwise");
});

import "./browser.js";
import assert from "node:assert/strict";
import test from "node:test";
import { duration, size } from "../../../api/console/static/format.js";

test("sizes are in decimal units, with one place while there are less than a hundred", () => {
  const shown = [0, 999, 1000, 99_949, 100_400, 1_000_000, 5_400_000_000, 7e15];
  assert.deepEqual(shown.map(size), ["0 B", "999 B", "1.0 kB", "99.9 kB", "100 kB", "1.0 MB", "5.4 GB", "7000 TB"]);
});

test("of minutes, hours and days what is less than the smaller unit is cut", () => {
  const shown = [0, 0.0002, 0.05, 9.94, 59.4, 60, 119.9, 3599.9, 3600, 86_399, 90_000, Number.NaN];
  assert.deepEqual(shown.map(duration), [
    "0.0 s", "1 ms", "50 ms", "9.9 s", "59 s", "1 min 0 s", "1 min 59 s", "59 min 59 s", "1 h 0 min", "23 h 59 min",
    "1 d 1 h", "–",
  ]);
});

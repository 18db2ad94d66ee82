import "./browser.js";
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { Api } from "../../../api/console/static/api.js";
import { answered, forget, now, reported, secondsSince, timeOfApi } from "../../../api/console/static/clock.js";
import { isPending } from "../../../api/console/static/views/delivery.js";

const STATIC = new URL("../../../api/console/static/", import.meta.url);
const HOUR = 3_600_000;

test.beforeEach(forget);

/** Whether two times are the same, as far as headers in whole seconds and a busy machine let them be. */
function isNear(a, b) {
  return Math.abs(a - b) < 5_000;
}

for (const wrong of [-HOUR, -30_000, 30_000, HOUR])
  test(`times are those of the service while the computer's clock is wrong by ${wrong / 1000} s`, async () => {
    const real = Date.now;
    const truth = real();
    Date.now = () => real() + wrong;
    try {
      const headers = { date: new Date(truth).toUTCString() };
      await new Api({ secretId: "AKID", secretKey: "k" }, async () => new Response("{}", { headers })).call("GET", "/queue");
      assert.ok(isNear(now(), truth) && isNear(timeOfApi(), truth));
      reported(truth * 1000);
      assert.ok(isNear(now(), truth));
      assert.ok(secondsSince((truth - 60_000) * 1000) >= 60 && secondsSince((truth - 60_000) * 1000) < 90);
      assert.equal(secondsSince((truth + HOUR) * 1000), 0);
      const wire = (ms) => new Date(ms).toISOString().replace(".000Z", "+0000").replace(/\.\d+Z/, "+0000");
      assert.ok(isPending({ State: "Pending", NextTime: wire(truth + 60_000) }));
      assert.ok(!isPending({ State: "Pending", NextTime: wire(truth + 2 * HOUR) }));
    } finally {
      Date.now = real;
    }
  });

test("a store whose clock differs tells the times of jobs, and the API those of signatures", () => {
  answered(new Date(1_800_000_000_000).toUTCString());
  reported(1_700_000_000_000_000);
  assert.ok(isNear(now(), 1_700_000_000_000) && isNear(timeOfApi(), 1_800_000_000_000));
  answered(new Date(1_800_000_900_000).toUTCString()); // the computer slept
  assert.ok(isNear(now(), 1_800_000_900_000));
});

test("no module but the clock asks this computer for the time", () => {
  const files = readdirSync(STATIC, { recursive: true }).map(String).filter((name) => name.endsWith(".js") && !name.startsWith("vendor"));
  assert.ok(files.length > 30);
  const asking = files.filter((name) => /Date\.now|new Date\(\s*\)|[^.\w]Date\(\)|timeOrigin/.test(readFileSync(new URL(name, STATIC), "utf8")));
  assert.deepEqual(asking, ["clock.js"]);
});

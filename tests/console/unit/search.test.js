import "./browser.js";
import assert from "node:assert/strict";
import test from "node:test";
import { ApiError } from "../../../api/console/static/api.js";
import { Search } from "../../../api/console/static/views/search.js";

/** A service with a number of jobs, which it returns in pages of 100. */
class Service {
  constructor(count) {
    this.jobs = Array.from({ length: count }, (_, i) => ({ JobId: `j${i}`, State: "Submitted" }));
    this.asked = 0;
    this.isDown = false;
  }

  call = async (_method, _path, { query }) => {
    this.asked += 1;
    if (this.isDown) throw new ApiError(500, "InternalError", "x", "");
    const start = Number(query.cursor || 0);
    const end = start + Number(query.size);
    return { Job: this.jobs.slice(start, end), Cursor: end < this.jobs.length ? String(end) : undefined };
  };
}

/** Let what waits for answers go on. */
async function settle() {
  for (let i = 0; i < 50; i += 1) await Promise.resolve();
}

test("a search loads what can be seen, and shows later what has changed since", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const service = new Service(250);
  const search = new Search(service, { text: "x" }, () => {});
  search.refresh();
  await settle();
  assert.deepEqual([search.rows.length, service.asked, search.isDone], [100, 1, false]);
  search.want(150);
  await settle();
  assert.equal(search.rows.length, 200);
  service.jobs[3] = { JobId: "j3", State: "Running" };
  service.jobs.unshift({ JobId: "new", State: "Submitted" });
  search.refresh();
  await settle();
  assert.deepEqual([search.rows.length, search.rows[0].JobId, search.rows[4].State], [200, "new", "Running"]);
  // Not at once again, however often something happens.
  const { asked } = service;
  service.jobs = service.jobs.slice(0, 5);
  for (let i = 0; i < 9; i += 1) search.refresh();
  await settle();
  assert.equal(service.asked, asked);
  search.restsUntil = 0;
  context.mock.timers.tick(100_000);
  await settle();
  assert.deepEqual([search.rows.length, search.isDone, service.asked], [5, true, asked + 1]);
  search.stop();
});

test("a page that cannot be loaded is said, and asked for again", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const service = new Service(150);
  const search = new Search(service, {}, () => {});
  search.refresh();
  await settle();
  service.isDown = true;
  search.want(120);
  await settle();
  assert.deepEqual([search.rows.length, search.error?.status, search.isSearching], [100, 500, false]);
  service.isDown = false;
  context.mock.timers.tick(5_000);
  await settle();
  assert.deepEqual([search.rows.length, search.error], [150, null]);
  search.stop();
});

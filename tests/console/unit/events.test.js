import "./browser.js";
import assert from "node:assert/strict";
import test from "node:test";
import { Events } from "../../../api/console/static/events.js";

/** Events over answers that the test chooses, without waiting. */
function made(answer) {
  const events = new Events({ call: async () => answer() });
  events.poke = () => {};
  const heard = [];
  events.subscribe((news) => heard.push(news));
  const ask = async () => {
    await events.ask();
    clearTimeout(events.timer);
    return events.waitMs;
  };
  return { events, heard, ask };
}

const overview = (jobs, running = "0") => ({ State: [{ Name: "Submitted", Jobs: jobs }], Queue: [{ Running: running }] });

test("while nothing changes the service is asked more and more rarely", async () => {
  const { heard, ask } = made(() => overview("1"));
  const first = await ask();
  const waits = [];
  for (let i = 0; i < 8; i += 1) waits.push(await ask());
  assert.ok(waits[0] > first && waits[3] > waits[0]);
  assert.equal(waits.at(-1), 4000);
  assert.equal(heard.length, 1);
});

test("a change and a running job are reported at once, and looked after closely", async () => {
  let jobs = 1;
  let running = "0";
  const { heard, ask } = made(() => overview(String(jobs), running));
  await ask();
  await ask();
  jobs = 2;
  assert.equal(await ask(), 500);
  running = "1";
  await ask();
  await ask();
  assert.equal(heard.length, 4);
});

test("an error is reported, asked about more rarely, and forgotten with the next answer", async () => {
  let fails = true;
  const { events, heard, ask } = made(() => {
    if (fails) throw new Error("gone");
    return overview("1");
  });
  for (let i = 0; i < 8; i += 1) await ask();
  assert.equal(events.waitMs, 30_000);
  assert.equal(heard.at(-1).error.message, "gone");
  fails = false;
  assert.equal(await ask(), 500);
  assert.equal(heard.at(-1).error, null);
});

test("a stream of events makes the page look at once, and is taken up after its last event", async () => {
  const asked = [];
  const bodies = [
    "retry: 2000\n\nid: 5-0\nevent: open\ndata: {}\n\nid: 6-0\nevent: job\nda",
    'ta: {"JobId":"j1"}\n\n: heartbeat\n\n',
  ];
  const stream = () => new ReadableStream({
    start(controller) {
      for (const body of bodies) controller.enqueue(new TextEncoder().encode(body));
      controller.close();
    },
  });
  const events = new Events({
    open: async (path, { query }) => {
      asked.push([path, query.lastEventId]);
      return new Response(stream());
    },
  });
  let pokes = 0;
  events.poke = () => (pokes += 1);
  await events.stream(() => {});
  await events.stream(() => {});
  assert.deepEqual(asked, [["/events", ""], ["/events", "6-0"]]);
  assert.deepEqual([pokes, events.lastEvent, events.isStreaming], [2, "6-0", true]);
});

test("while a stream reports what happens, a quiet bucket is hardly asked about", async () => {
  const { events, ask } = made(() => overview("1", "1"));
  events.isStreaming = true;
  for (let i = 0; i < 14; i += 1) await ask();
  assert.equal(events.waitMs, 30_000);
});

test("however fast events come, the page looks at least and at most twice a second", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  for (const [everyMs, least, most] of [[20, 18, 21], [100, 18, 21], [450, 18, 21]]) {
    let looks = 0;
    const events = new Events({});
    events.listeners.add(() => {});
    events.news.overview = overview("1");
    events.ask = () => {
      looks += 1;
      events.look(500);
    };
    for (let at = 0; at < 10_000; at += 10) {
      if (at % everyMs < 10) events.receive("id: 1-0\nevent: job\ndata: {}");
      context.mock.timers.tick(10);
    }
    events.stop();
    assert.ok(least <= looks && looks <= most, `${looks} looks in 10 s, an event each ${everyMs} ms`);
  }
});

import "./browser.js";
import assert from "node:assert/strict";
import test from "node:test";
import { fromStore, received, StoreError } from "../../../api/console/static/player/store.js";

/** What the store answers, one after another; an error is thrown. */
function storeOf(...answers) {
  const asked = [];
  const get = async (url) => {
    asked.push(url);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return new Response("sound", { status: answer });
  };
  return { asked, get };
}

const whole = async (get) => {
  const answer = await get();
  return answer.ok ? answer.text() : answer.status;
};

test("a file of the store is asked for again where the store or the way to it fails, by new links where the old have expired", async () => {
  const { asked, get } = storeOf(new TypeError("Failed to fetch"), 403, 200);
  assert.equal(await fromStore(["old"], 0, { get, renew: async () => ["new"] }, whole), "sound");
  assert.deepEqual(asked, ["old", "old", "new"]);
});

test("a store that goes on failing is a sentence, and what is gone is not asked for again", async () => {
  const down = storeOf(...Array.from({ length: 4 }, () => new TypeError("Failed to fetch")));
  await assert.rejects(fromStore(["x"], 0, { get: down.get }, whole), (error) => error instanceof StoreError && error.message.includes("store does not answer"));
  assert.equal(down.asked.length, 4);
  const gone = storeOf(404);
  await assert.rejects(fromStore(["x"], 0, { get: gone.get }, whole), (error) => error.status === 404);
  assert.equal(gone.asked.length, 1);
});

test("a store that is silent is given up after a second try, one that sends slowly is not", async () => {
  const asked = [];
  const silent = (url, { signal }) => {
    asked.push(url);
    return new Promise((_, failed) => signal.addEventListener("abort", () => failed(signal.reason)));
  };
  await assert.rejects(fromStore(["x"], 0, { get: silent, silentMs: 5 }, whole), (error) => error.status === 0);
  assert.equal(asked.length, 2);
  const slow = async (_, { signal }) => {
    const body = new ReadableStream({
      async start(stream) {
        for (let i = 0; i < 6; i += 1) {
          await new Promise((done) => setTimeout(done, 15));
          if (signal.aborted) return stream.error(signal.reason);
          stream.enqueue(Uint8Array.of(i));
        }
        stream.close();
      },
    });
    return new Response(body);
  };
  const file = await fromStore(["x"], 0, { get: slow, silentMs: 60 }, async (get, heard) => received(await get(), heard));
  assert.equal(file.size, 6);
});

test("new links are asked for once, whichever file needs them first", async () => {
  const urls = ["old 0", "old 1"];
  let renewed = 0;
  const get = async (url) => new Response("sound", { status: url.startsWith("old") ? 403 : 200 });
  const renew = async () => {
    renewed += 1;
    return ["new 0", "new 1"];
  };
  await fromStore(urls, 0, { get, renew }, whole);
  await fromStore(urls, 1, { get, renew }, whole);
  assert.equal(renewed, 1);
  await assert.rejects(fromStore([""], 0, { get: async () => assert.fail("asked"), tries: 1 }, whole), (error) => error.status === 403);
});

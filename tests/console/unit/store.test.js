import "./browser.js";
import assert from "node:assert/strict";
import test from "node:test";
import { fromStore, StoreError } from "../../../api/console/static/player/store.js";

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

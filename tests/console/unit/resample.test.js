import assert from "node:assert/strict";
import test from "node:test";
import { atRate } from "../../../api/console/static/player/resample.js";

const RATE = 44_100;

/** A track of a tone; like every track it has fewer samples at its end. */
function tone(sampleRate, seconds, hertz = 1000) {
  const samples = Float32Array.from({ length: seconds * sampleRate }, (_, i) => Math.sin((2 * Math.PI * hertz * i) / sampleRate));
  return { sampleRate, length: samples.length, read: async (from, to) => [samples.slice(from, to)] };
}

for (const rate of [8_000, 22_050, 32_000, 48_000, 96_000, 192_000]) {
  test(`a tone of ${rate} Hz keeps its level and its place`, async () => {
    const track = atRate(tone(rate, 3), RATE);
    assert.equal(track.length, 3 * RATE);
    const [samples] = await track.read(RATE, 2 * RATE);
    assert.equal(samples.length, RATE);
    for (const [i, value] of samples.entries()) assert.ok(Math.abs(value - Math.sin((2 * Math.PI * 1000 * (RATE + i)) / RATE)) < 1e-4, `${i}: ${value}`);
  });
}

test("parts join without a seam, and end where the track ends", async () => {
  const track = atRate(tone(48_000, 2), RATE);
  const [whole] = await track.read(0, 2 * RATE);
  assert.equal(whole.length, 2 * RATE);
  for (const [from, to] of [[0, 1000], [1000, 1001], [44_099, 50_000], [2 * RATE - 100, 2 * RATE + 5000]]) {
    const [part] = await track.read(from, to);
    assert.deepEqual(part, whole.slice(from, to));
  }
  assert.deepEqual(await track.read(2 * RATE + 100, 2 * RATE + 200), []);
});

test("what a rate cannot hold is taken out", async () => {
  const [samples] = await atRate(tone(96_000, 1, 30_000), RATE).read(10_000, 20_000);
  assert.ok(Math.max(...samples.map(Math.abs)) < 1e-4);
});

test("a track of the same rate stays as it is; rates without a common measure are refused", () => {
  const track = tone(RATE, 1);
  assert.equal(atRate(track, RATE), track);
  assert.equal(atRate(tone(44_101, 1), RATE), null);
});

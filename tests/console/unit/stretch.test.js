import assert from "node:assert/strict";
import test from "node:test";
import { bestMatch, HOP, SEARCH, Stretch } from "../../../api/console/static/player/stretch.js";

const RATE = 44_100;

/** A context in which nodes only record their calls. */
function made(samples) {
  const grains = [];
  globalThis.AudioBufferSourceNode = class {
    constructor() {
      grains.push(this);
    }
    connect(gain) {
      this.gain = gain;
      return { connect() {} };
    }
    start(time, offset, duration) {
      Object.assign(this, { time, offset, duration });
    }
    stop(time) {
      this.until = time;
    }
  };
  globalThis.GainNode = class {
    gain = { setValueCurveAtTime: (curve, time, duration) => (this.curve = { curve, time, duration }) };
  };
  const buffer = { length: samples.length, sampleRate: RATE, numberOfChannels: 1, getChannelData: () => samples };
  const sound = { length: samples.length, sampleRate: RATE, pieceAt: () => ({ start: 0, end: samples.length }), loaded: () => buffer };
  return { grains, stretch: new Stretch({ sampleRate: RATE }, {}, sound) };
}

/** What is heard of grains, sample by sample. */
function heard(grains, samples, length) {
  const out = new Float32Array(length);
  for (const { time, offset, duration, gain } of grains) {
    const { curve } = gain.curve;
    const [at, from, count] = [time, offset, duration].map((value) => Math.round(value * RATE));
    for (let i = 0; i < count && at + i < length; i += 1) {
      const place = (i / count) * (curve.length - 1);
      const [low, part] = [Math.floor(place), place % 1];
      out[at + i] += (curve[low] * (1 - part) + (curve[low + 1] ?? 0) * part) * (samples[from + i] ?? 0);
    }
  }
  return out;
}

const tone = (hz, seconds) => Float32Array.from({ length: seconds * RATE }, (_, i) => Math.sin((2 * Math.PI * hz * i) / RATE));

for (const speed of [0.5, 0.75, 1.25, 1.5, 2]) {
  test(`a tone keeps its pitch and its level at × ${speed}`, () => {
    const samples = tone(440, 6);
    const { grains, stretch } = made(samples);
    const frames = 40 * HOP;
    stretch.grains(0, 0, frames / 2, speed, false);
    stretch.grains((frames / 2) * speed, frames / 2 / RATE, frames / 2, speed, false);
    const out = heard(grains, samples, frames);
    let rises = 0;
    for (let i = 1; i < frames; i += 1) if (out[i - 1] < 0 && out[i] >= 0) rises += 1;
    assert.ok(Math.abs(rises / (frames / RATE) - 440) < 2, `${rises / (frames / RATE)} Hz`);
    for (let at = HOP; at + 512 < frames; at += 512) {
      const rms = Math.sqrt(out.slice(at, at + 512).reduce((sum, value) => sum + value * value, 0) / 512);
      assert.ok(Math.abs(rms - Math.SQRT1_2) < 0.06, `${rms} at ${at}`);
    }
  });
}

test("grains stay where they belong, to within the search, however long it plays", () => {
  const samples = Float32Array.from({ length: 30 * RATE }, (_, i) => Math.sin(i * i * 1e-6));
  const { grains, stretch } = made(samples);
  let time = 0;
  for (let from = 0; from + 20 * HOP * 1.5 < samples.length - RATE; from += 20 * HOP * 1.5) {
    stretch.grains(from, time, 20 * HOP, 1.5, false);
    time += (20 * HOP) / RATE;
  }
  assert.ok(grains.length > 300);
  for (const [i, grain] of grains.entries()) {
    if (i === 0) continue;
    const middle = (grain.offset + HOP / RATE) * RATE;
    assert.ok(Math.abs(middle - (grain.time * RATE + HOP) * 1.5) <= SEARCH + 1);
  }
});

test("the last span ends at its frame", () => {
  const { grains, stretch } = made(tone(440, 2));
  const { stop } = stretch.grains(0, 1, 5000, 0.5, true);
  assert.ok(grains.every((grain) => grain.until === 1 + 5000 / RATE));
  stop(1.01);
  assert.ok(grains.every((grain) => grain.until === 1.01));
});

test("the best match is found, and in silence the middle is taken", () => {
  const noise = Float32Array.from({ length: 6000 }, (_, i) => Math.sin(i * i * 2e-6) + Math.sin(i * 0.013));
  assert.equal(bestMatch(noise.slice(1000, 3000), noise.slice(500, 3500), 200), 500);
  assert.equal(bestMatch(new Float32Array(100), new Float32Array(500), 200), 200);
});

import assert from "node:assert/strict";
import test from "node:test";
import { gainOf } from "../../../api/console/static/player/graph.js";
import { Transport } from "../../../api/console/static/player/transport.js";

const RATE = 44_100;

class Source {
  constructor(context, { playbackRate }) {
    this.speed = playbackRate ?? 1;
    this.context = context;
    this.until = Number.POSITIVE_INFINITY;
    context.sources.push(this);
  }
  connect() {}
  start(time, offset, duration) {
    this.time = Math.max(time, this.context.currentTime); // who comes too late begins at once
    this.offset = offset;
    this.end = this.time + duration / this.speed;
  }
  stop(time) {
    this.until = Math.min(this.until, time);
  }
}
globalThis.AudioBufferSourceNode = Source;

function made(seconds, piece = seconds) {
  const context = { sampleRate: RATE, currentTime: 0, sources: [] };
  const length = seconds * RATE;
  const size = piece * RATE;
  const sound = {
    length,
    sampleRate: RATE,
    pieceAt: (sample) => {
      const start = Math.floor(Math.min(sample, length - 1) / size) * size;
      return { start, end: Math.min(start + size, length) };
    },
    loaded: () => ({}),
    load: async () => ({}),
  };
  return { context, transport: new Transport(context, {}, sound), length, size };
}

/** What the sources play at a time: samples of the sound. */
function heard(context, time, pieceStart) {
  return context.sources
    .filter((source) => source.time <= time && time < Math.min(source.until, source.end))
    .map((source) => pieceStart(source) + (source.offset + (time - source.time) * source.speed) * RATE);
}

/** Numbers from 0 to 1 that are the same in each run. */
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

test("over a thousand random operations the clock shows the sample that plays, to within one", () => {
  const { context, transport, length } = made(60);
  transport.keepsPitch = false;
  const next = random(17);
  let compared = 0;
  for (let i = 0; i < 1000; i += 1) {
    const kind = Math.floor(next() * 6);
    if (kind === 0) transport.seek(next() * length);
    else if (kind === 1) transport.setSpeed([0.5, 0.75, 1, 1.25, 1.5, 2][Math.floor(next() * 6)]);
    else if (kind === 2) transport.setLoop(next() < 0.4 ? null : { from: next() * length * 0.9, to: next() * length });
    else if (kind === 3) transport.pause();
    else transport.play();
    context.currentTime += next() * 0.9;
    for (let step = 0; step < 3; step += 1) {
      transport.fill();
      context.currentTime += 0.3;
      if (!transport.isPlaying) continue;
      const playing = heard(context, context.currentTime, () => 0);
      if (transport.position >= length) continue;
      assert.equal(playing.length, 1, `${playing.length} sources at operation ${i}`);
      assert.ok(Math.abs(playing[0] - transport.position) <= 1, `${playing[0]} is not ${transport.position}`);
      compared += 1;
    }
    context.sources = context.sources.filter((source) => Math.min(source.until, source.end) > context.currentTime - 1);
  }
  assert.ok(compared > 500, String(compared));
});

test("a long song in pieces plays without a gap", () => {
  const { context, transport, length } = made(50, 20);
  transport.play();
  const starts = [];
  for (; context.currentTime < 60; context.currentTime += 0.25) transport.fill();
  for (const source of context.sources) starts.push(Math.round(source.time * RATE));
  assert.equal(context.sources.length, 3);
  assert.deepEqual(starts.map((start) => start - starts[0]), [0, 20 * RATE, 40 * RATE]);
  assert.deepEqual([transport.isPlaying, transport.position], [false, length]);
});

test("a loop goes round at the same sample each time", () => {
  const { context, transport } = made(30);
  transport.setLoop({ from: 1000, to: 1000 + RATE });
  transport.seek(1000);
  transport.play();
  for (; context.currentTime < 10; context.currentTime += 0.25) transport.fill();
  const starts = context.sources.map((source) => Math.round(source.time * RATE));
  assert.ok(starts.length >= 10);
  for (const [i, start] of starts.entries()) assert.equal(start - starts[0], i * RATE);
  assert.ok(context.sources.every((source) => Math.round(source.offset * RATE) === 1000));
});

test("a piece that is not here in time is waited for", async () => {
  const { context, transport } = made(40, 20);
  let arrive = () => {};
  const here = new Set([0]);
  transport.sound.loaded = (start) => (here.has(start) ? {} : null);
  transport.sound.load = (start) => new Promise((done) => {
    arrive = () => {
      here.add(start);
      done({});
    };
  });
  const said = [];
  transport.onWait = (is) => said.push(is);
  transport.seek(25 * RATE);
  transport.play();
  context.currentTime += 2;
  arrive();
  await new Promise((done) => setTimeout(done));
  assert.deepEqual(said, [true, false]);
  assert.equal(Math.round(context.sources[0].offset * RATE), 5 * RATE);
});

test("mute, solo and the comparison with the mix decide what is heard", () => {
  const track = (changes = {}) => ({ volume: 1, pan: 0, mute: false, solo: false, ...changes });
  const gains = (heard, ...tracks) => tracks.map((_, i) => gainOf({ tracks, heard, master: 1, mix: 0 }, i));
  assert.deepEqual(gains("stems", track(), track(), track()), [0, 1, 1]);
  assert.deepEqual(gains("stems", track(), track({ mute: true }), track({ volume: 0.5 })), [0, 0, 0.5]);
  assert.deepEqual(gains("stems", track(), track({ solo: true, mute: true }), track()), [0, 1, 0]);
  assert.deepEqual(gains("mix", track(), track({ solo: true }), track()), [1, 0, 0]);
});

test("a timer that comes too late makes a pause, and no difference between what is heard and the clock", () => {
  for (const speed of [1, 1.5]) {
    const { context, transport } = made(60);
    Object.assign(transport, { keepsPitch: false, speed });
    transport.setLoop({ from: 10 * RATE, to: 12 * RATE });
    transport.seek(10 * RATE);
    transport.play();
    let compared = 0;
    for (const seconds of [0.3, 3, 61, 0.2, 1.5, 90, 0.3, 5, 0.2, 4, 4.1]) {
      context.currentTime += seconds;
      transport.fill();
      context.currentTime += 0.1;
      for (const sample of heard(context, context.currentTime, () => 0)) {
        assert.ok(Math.abs(sample - transport.position) <= 1, `${sample} is heard, ${transport.position} is shown`);
        compared += 1;
      }
    }
    assert.equal(compared, 11);
  }
});

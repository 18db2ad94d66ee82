import "./browser.js";
import assert from "node:assert/strict";
import test from "node:test";
import { fits, inPieces, TooLong } from "../../../api/console/static/player/sound.js";
import { inBits, readWavHeader, samplesOf, wavFile as wavOf } from "../../../api/console/static/player/wav.js";
import { fft, peaksOfPairs } from "../../../api/console/static/player/waveform.js";

const RATE = 44_100;
const wavFile = (channels, rate) => wavOf([inBits(channels)], channels.length, rate);

test("a WAV file of 24 bits is read as it was written", async () => {
  const left = Float32Array.of(0, 0.5, -1, 0.999, 1e-6);
  const right = Float32Array.of(-0.25, 0, 2, -2, 0);
  const bytes = await wavFile([left, right], RATE).arrayBuffer();
  const header = readWavHeader(bytes);
  assert.deepEqual([header.sampleRate, header.channels, header.bits, header.length], [RATE, 2, 24, 5]);
  const [first, second] = samplesOf(header, bytes.slice(header.offset));
  for (const [i, value] of left.entries()) assert.ok(Math.abs(value - first[i]) <= 2 ** -23);
  assert.deepEqual([second[2] > 0.9999, second[3]], [true, -1]);
});

test("a WAV file is made of parts, unless it would be too long for its header", async () => {
  const parts = [inBits([Float32Array.of(0.25)]), inBits([Float32Array.of(-0.5, 0)])];
  const bytes = await wavOf(parts, 1, RATE).arrayBuffer();
  assert.equal(bytes.byteLength, 44 + 9 + 1);
  assert.deepEqual([...samplesOf(readWavHeader(bytes), bytes.slice(44, 53))[0]], [0.25, -0.5, 0]);
  assert.equal(wavOf([{ size: 2 ** 32 }], 2, RATE), null);
});

test("the header of a WAV file says how many bytes a frame and a second have", async () => {
  for (const channels of [1, 2]) {
    const view = new DataView(await wavOf([inBits(Array(channels).fill(Float32Array.of(0)))], channels, RATE).arrayBuffer());
    const said = [view.getUint16(20, true), view.getUint16(22, true), view.getUint32(24, true), view.getUint32(28, true), view.getUint16(32, true), view.getUint16(34, true)];
    assert.deepEqual(said, [1, channels, RATE, RATE * channels * 3, channels * 3, 24]);
  }
});

test("a chunk of an odd size before the samples ends at an even place", async () => {
  const bytes = new Uint8Array(await wavFile([Float32Array.of(0.25, -0.5)], RATE).arrayBuffer());
  const note = [..."note"].map((letter) => letter.charCodeAt(0));
  const odd = Uint8Array.of(...bytes.slice(0, 36), ...note, 3, 0, 0, 0, 1, 2, 3, 0, ...bytes.slice(36));
  const header = readWavHeader(odd.buffer);
  assert.deepEqual([header?.offset, header?.length], [44 + 12, 2]);
});

test("what is no WAV file of samples is refused", () => {
  assert.equal(readWavHeader(new ArrayBuffer(4)), null);
  assert.equal(readWavHeader(new TextEncoder().encode("ID3 is the beginning of an mp3").buffer), null);
});

class Context {
  sampleRate = RATE;
  createBuffer(channels, length) {
    const data = Array.from({ length: channels }, () => new Float32Array(length));
    return { length, data, copyToChannel: (samples, channel) => data[channel].set(samples) };
  }
}

function stored(...files) {
  const asked = [];
  return {
    asked,
    get: async (url, { headers }) => {
      const [from, to] = /bytes=(\d+)-(\d+)/.exec(headers.Range).slice(1).map(Number);
      asked.push([url, from, to]);
      return new Response(files[Number(url)].slice(from, to + 1), { status: 206 });
    },
  };
}

test("a long song is read in pieces whose samples lie where they belong", async () => {
  const ramp = Float32Array.from({ length: 50 * RATE }, (_, i) => (i % 8_000_000) / 2 ** 23);
  const mono = wavFile([ramp], RATE);
  const stereo = wavFile([ramp, ramp], RATE);
  const { get, asked } = stored(mono, stereo);
  const { sound, failed } = await inPieces(new Context(), ["0", "1"], { seconds: 50, get });
  assert.deepEqual([...failed], []);
  assert.equal(sound.length, 50 * RATE);
  const { start, end } = sound.pieceAt(45 * RATE);
  assert.deepEqual([start, end], [40 * RATE, 50 * RATE]);
  assert.equal(sound.loaded(start), null);
  const piece = await sound.load(start);
  assert.equal(sound.loaded(start), piece);
  for (const channel of piece.data) assert.equal(Math.round(channel[17] * 2 ** 23), 40 * RATE + 17);
  assert.ok(asked.every(([, from, to]) => to - from < 8_000_000));
});

test("a mix that cannot be read in pieces is left out", async () => {
  const ramp = Float32Array.from({ length: RATE }, (_, i) => i / RATE);
  const { get } = stored(new Blob(["ftyp".repeat(99)]), wavFile([ramp], RATE));
  const { sound, failed } = await inPieces(new Context(), ["0", "1"], { seconds: 1, optional: 0, get });
  assert.deepEqual([[...failed.keys()], sound.length], [[0], RATE]);
  const { data } = await sound.load(0);
  assert.deepEqual([data[0][99], data[2][99] > 0], [0, true]);
});

test("a link that has expired is renewed, and a store that fails is asked again", async () => {
  const ramp = Float32Array.from({ length: RATE }, (_, i) => i / RATE);
  const { get: read } = stored(wavFile([ramp], RATE));
  const refusals = [403, 500];
  const get = async (url, options) => (refusals.length && url === "old" ? new Response("", { status: refusals.shift() }) : read("0", options));
  const renewed = [];
  const renew = async () => {
    renewed.push(1);
    return ["0"];
  };
  const { sound } = await inPieces(new Context(), ["old"], { seconds: 1, get, renew });
  assert.deepEqual([sound.length, renewed.length], [RATE, 1]);
});

test("a track that the store does not give is silent and named, and is heard again once it can be read", async () => {
  const ramp = Float32Array.from({ length: 50 * RATE }, (_, i) => (i % 9 ? 0.5 : 0.25));
  const files = stored(wavFile([ramp], RATE), wavFile([ramp], RATE), wavFile([ramp], RATE));
  const refused = new Set(["0"]);
  const get = async (url, options) => (refused.has(url) ? new Response("", { status: 404 }) : files.get(url, options));
  const reported = [];
  const { sound, failed } = await inPieces(new Context(), ["0", "1", "2"], { seconds: 50, get, onTrouble: () => reported.push([...failed.keys()]) });
  assert.deepEqual([[...failed.keys()], failed.get(0).status], [[0], 404]);
  refused.add("2");
  const first = await sound.load(0);
  assert.deepEqual([first.data[0][1], first.data[2][1], first.data[4][1] > 0], [0, 0.5, false]);
  assert.deepEqual(reported, [[0, 2]]);
  refused.delete("2");
  // What is played does not wait for it; what is asked for is complete.
  assert.equal(sound.loaded(0), first);
  assert.equal((await sound.load(0)).data[4][1], 0.5);
  assert.deepEqual(reported.at(-1), [0]);
  refused.add("1").add("2");
  await assert.rejects(sound.load(20 * RATE), (error) => error.status === 404);
  await assert.rejects(inPieces(new Context(), ["0", "1"], { seconds: 50, get }), (error) => error.status === 404);
});

test("a song in a codec without frames, or of a store without ranges, cannot be read in pieces", async () => {
  const other = stored(new Blob(["ID3".repeat(99)])).get;
  await assert.rejects(inPieces(new Context(), ["0"], { seconds: 9, get: other }), TooLong);
  const whole = async () => new Response("", { status: 200 });
  await assert.rejects(inPieces(new Context(), ["0"], { seconds: 9, get: whole }), TooLong);
});

test("the waveform of the API is unpacked", () => {
  const peaks = peaksOfPairs(Buffer.from(Int8Array.of(-127, 127, 0, 64)).toString("base64"), 44_100, RATE);
  assert.deepEqual([[...peaks.least], peaks.most[0], peaks.seconds], [[-1, 0], 1, 2]);
});

test("the transform finds the frequency of a tone", () => {
  const re = Float32Array.from({ length: 256 }, (_, i) => Math.cos((2 * Math.PI * 9 * i) / 256));
  const im = new Float32Array(256);
  fft(re, im);
  const power = Array.from(re.slice(0, 128), (value, i) => value ** 2 + im[i] ** 2);
  assert.equal(power.indexOf(Math.max(...power)), 9);
});

test("songs of usual lengths are held in memory, longer ones only in need", () => {
  assert.deepEqual([fits(10 * 60, 3), fits(9 * 60, 5), fits(30 * 60, 3), fits(3600, 3)], [true, true, false, false]);
  assert.deepEqual([fits(30 * 60, 3, true), fits(3600, 3, true)], [true, false]);
  assert.match(new TooLong().message, /too long/);
});

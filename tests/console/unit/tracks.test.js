import assert from "node:assert/strict";
import test from "node:test";
import { formatOf } from "../../../api/console/static/player/frames.js";
import { openTrack } from "../../../api/console/static/player/tracks.js";

const CUT = 1105;

/** A frame that holds its number where its sound would be. */
function frame(header, length, number) {
  const bytes = new Uint8Array(length);
  bytes.set(header);
  new DataView(bytes.buffer).setUint32(header.length, number);
  return bytes;
}

/** Frames of mp3 at 128 kbit/s, some with a byte more, behind a tag and a frame that is no sound. */
function mp3(count) {
  const info = frame([0xff, 0xfb, 0x90, 0x64], 417, 0);
  info.set(new TextEncoder().encode("Info"), 36);
  const frames = Array.from({ length: count }, (_, i) => {
    const isLonger = i % 3 === 0;
    return frame([0xff, 0xfb, isLonger ? 0x92 : 0x90, 0x64], isLonger ? 418 : 417, i);
  });
  return joined([Uint8Array.of(0x49, 0x44, 0x33, 4, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4, 5), info, ...frames, new TextEncoder().encode("TAG".padEnd(128))]);
}

function adts(count) {
  const frames = Array.from({ length: count }, (_, i) => {
    const length = 200 + (i % 90);
    return frame([0xff, 0xf1, 0x50, 0x80 | (length >> 11), (length >> 3) & 255, ((length & 7) << 5) | 31, 0xfc], length, i);
  });
  return joined(frames);
}

function crc8(bytes) {
  let sum = 0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = ((sum << 1) ^ (sum & 0x80 ? 7 : 0)) & 0xff;
  }
  return sum;
}

function flac(count) {
  const info = new Uint8Array(42);
  info.set([0x66, 0x4c, 0x61, 0x43, 0, 0, 0, 34, 0x10, 0, 0x10, 0]);
  new DataView(info.buffer).setUint32(18, (44_100 << 12) >>> 0);
  const comment = Uint8Array.of(0x84, 0, 0, 3, 1, 2, 3);
  const frames = Array.from({ length: count }, (_, i) => {
    const coded = i < 128 ? [i] : [0xc0 | (i >> 6), 0x80 | (i & 63)];
    const head = [0xff, 0xf8, 0xc9, 0x18, ...coded];
    const length = 300 + (i % 50);
    const bytes = frame([...head, crc8(head)], length, i);
    // What looks like the beginning of a frame, and is none.
    bytes.set([0xff, 0xf8, 0xc9, 0x18, 7, 9], 100);
    return bytes;
  });
  return joined([info, comment, ...frames]);
}

function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A browser whose samples are their own numbers, and that cuts some from the beginning of a file. */
function browser(frameSamples, numberAt) {
  return {
    sampleRate: 44_100,
    decodeAudioData: async (buffer) => {
      const bytes = new Uint8Array(buffer);
      const format = formatOf(bytes);
      const samples = [];
      let at = format.first;
      for (;;) {
        let length = format.next(bytes, at);
        if (length === 0 && at < bytes.length) length = bytes.length - at;
        if (length <= 0 || at + length > bytes.length) break;
        const number = new DataView(buffer).getUint32(at + numberAt(bytes, at));
        for (let i = 0; i < frameSamples; i += 1) samples.push(number * frameSamples + i);
        at += length;
      }
      const data = Float32Array.from(samples.slice(CUT));
      return { length: data.length, numberOfChannels: 1, getChannelData: () => data };
    },
  };
}

const KINDS = {
  mp3: [mp3(900), 1152, () => 4],
  adts: [adts(900), 1024, () => 7],
  flac: [flac(900), 4096, (bytes, at) => (bytes[at + 4] < 0x80 ? 6 : 7)],
};

for (const [name, [file, frameSamples, numberAt]] of Object.entries(KINDS)) {
  test(`any part of ${name} holds the samples that the whole file has there`, async () => {
    const asked = [];
    const range = async (from, to) => {
      asked.push(to - from);
      return file.slice(from, to).buffer;
    };
    const track = await openTrack(browser(frameSamples, numberAt), range);
    const all = 900 * frameSamples - CUT;
    for (const [from, to] of [[0, 5000], [400_000, 420_000], [123_457, 123_460], [all - 3000, all + 50_000]]) {
      const [samples] = await track.read(from, to);
      assert.equal(samples.length, Math.min(to, all) - from, `${from}`);
      assert.deepEqual([samples[0], samples.at(-1)], [from + CUT, Math.min(to, all) - 1 + CUT]);
    }
    assert.deepEqual(await track.read(all + 100_000_000, all + 100_000_010), []);
    assert.ok(Math.max(...asked) <= 1 << 20);
  });
}

test("what has no frames is refused", async () => {
  for (const bytes of [new Uint8Array(0), new TextEncoder().encode("ftypM4A ".repeat(50)), new Uint8Array(70_000).fill(255), Uint8Array.of(0x66, 0x4c, 0x61, 0x43, 0, 0)])
    assert.equal(await openTrack({ sampleRate: 44_100 }, async () => bytes.slice().buffer), null);
});

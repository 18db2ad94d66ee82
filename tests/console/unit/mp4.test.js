import assert from "node:assert/strict";
import test from "node:test";
import { readMp4 } from "../../../api/console/static/player/mp4.js";

const encoder = new TextEncoder();

function bytesOf(...parts) {
  return Uint8Array.from(parts.flatMap((part) => (typeof part === "string" ? [...encoder.encode(part)] : typeof part === "number" ? [part >>> 24, (part >>> 16) & 255, (part >>> 8) & 255, part & 255] : [...part])));
}

function box(name, ...parts) {
  const content = bytesOf(...parts);
  return bytesOf(content.length + 8, name, content);
}

/** An m4a of five frames in two chunks, AAC-LC in stereo at 48 kHz. */
function m4a({ type = 2, edit = 1024, duration = 1024, counts = [3, 2], handler = "soun", timescale = 48_000 } = {}) {
  const config = [(type << 3) | 1, 0x90]; // rate 3, two channels
  const esds = box("esds", 0, [3, 0x80, 0x80, 0x80, 32, 0, 1, 0], [4, 20, ...Array(13).fill(0)], [5, 2, ...config]);
  const mp4a = box("mp4a", Array(28).fill(0), esds);
  const sizes = [10, 11, 12, 13, 14];
  const tables = box(
    "stbl",
    box("stsd", 0, 1, mp4a),
    box("stts", 0, 1, 5, duration),
    box("stsc", 0, 2, 1, counts[0], 1, 2, counts[1], 1),
    box("stsz", 0, 0, 5, ...sizes),
    box("stco", 0, 2, 1000, 2000),
  );
  const media = box("mdia", box("mdhd", 0, 0, 0, timescale, 0), box("hdlr", 0, 0, handler, 0, 0, 0), box("minf", tables));
  const edits = box("edts", box("elst", 0, 2, 9, 0xffffffff, 0x10000, 4096, edit, 0x10000));
  return bytesOf(box("ftyp", "M4A ", 0), box("free", Array(100).fill(0)), box("moov", box("trak", edits, media)));
}

const ranged = (file) => async (from, to) => file.slice(from, to).buffer;
const read = (file, known = file.length) => readMp4(ranged(file), file.slice(0, known).buffer);

test("the tables say where each frame lies, and what is not to be heard", async () => {
  for (const known of [16, 40, 10_000]) {
    const frames = await read(m4a(), known);
    assert.deepEqual([frames.sampleRate, frames.skipped, frames.length], [48_000, 1024, 4 * 1024]);
    assert.deepEqual([...frames.sizes], [10, 11, 12, 13, 14]);
    assert.deepEqual([...frames.places], [1000, 1010, 1021, 2000, 2013]);
    assert.deepEqual([...frames.header(500)], [0xff, 0xf1, 0x4c, 0x80, 507 >> 3, ((507 & 7) << 5) | 31, 0xfc]);
  }
});

test("other codecs, frames of other lengths, and tables that do not fit are refused", async () => {
  for (const odd of [{ type: 5 }, { duration: 2048 }, { counts: [1, 1] }, { handler: "vide" }, { timescale: 24_000 }]) assert.equal(await read(m4a(odd)), null);
  assert.equal(await read(new Uint8Array(0)), null);
  assert.equal(await read(bytesOf(box("ftyp", "M4A ", 0), box("moov", 0))), null);
});

test("a file that ends anywhere, or has any damaged byte, is refused or read, and never waits or fails otherwise", async () => {
  const file = m4a();
  for (let end = 0; end < file.length; end += 1) assert.equal(await read(file.slice(0, end)), null, `${end}`);
  for (let at = 8; at < file.length; at += 1)
    for (const value of [0, 0x7f, 0xff]) {
      const damaged = file.slice();
      damaged[at] = value;
      const frames = await read(damaged);
      assert.ok(frames === null || frames.sizes.length <= 5);
    }
});

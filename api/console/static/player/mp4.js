// AAC in MP4 files (m4a, mp4, mov): where each frame lies, from the tables of the file.

/** @typedef {import("./tracks.js").Range} Range */
/**
 * @typedef {object} Frames
 * @property {number} sampleRate Hz
 * @property {number} frameSamples samples of a frame
 * @property {number} skipped samples at the beginning that are not to be heard
 * @property {number} length samples that are to be heard
 * @property {Float64Array} places first byte of each frame
 * @property {Uint32Array} sizes bytes of each frame
 * @property {(size: number) => Uint8Array} header ADTS header of a frame
 */

const MAX_TABLE_BYTES = 32 << 20;
const MAX_BOXES = 1000;
const AAC_LC = 2;
const RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000];

/** A part of a file: the content of a box, or of a descriptor. */
class Box {
  /** @param {DataView} view @param {number} from @param {number} to */
  constructor(view, from, to) {
    this.view = view;
    this.from = from;
    this.to = to;
  }

  /** @param {number} at bytes from the beginning of the box */
  byte(at) {
    return this.view.getUint8(this.from + at);
  }

  /** @param {number} at */
  word(at) {
    return this.view.getUint32(this.from + at);
  }

  /** @param {number} at */
  long(at) {
    return this.word(at) * 2 ** 32 + this.word(at + 4);
  }

  /** The boxes in it with a name. @param {string} name @param {number} [skip] bytes before the first box @returns {Box[]} */
  all(name, skip = 0) {
    const found = [];
    for (let at = this.from + skip; at + 8 <= this.to; ) {
      const size = this.view.getUint32(at) || this.to - at;
      if (size < 8 || at + size > this.to) break;
      if (nameAt(this.view, at + 4) === name) found.push(new Box(this.view, at + 8, at + size));
      at += size;
    }
    return found;
  }

  /** The first box at a path of names. @param {string[]} path @returns {Box} */
  at(...path) {
    /** @type {Box} */
    let box = this;
    for (const name of path) {
      const [inner] = box.all(name);
      if (!inner) throw new RangeError(`no ${name}`);
      box = inner;
    }
    return box;
  }
}

/** @param {DataView} view @param {number} at */
function nameAt(view, at) {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));
}

/**
 * Return the frames of the first AAC track; null if the file has none that can be read in parts.
 * @param {Range} range
 * @param {ArrayBuffer} beginning its first bytes
 * @returns {Promise<Frames | null>}
 */
export async function readMp4(range, beginning) {
  if (beginning.byteLength < 16 || nameAt(new DataView(beginning), 4) !== "ftyp") return null;
  const tables = await tablesOf(range, beginning);
  if (!tables) return null;
  try {
    for (const track of tables.all("trak")) if (nameAt(tables.view, track.at("mdia", "hdlr").from + 8) === "soun") return framesOf(track);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // a table is missing, or ends early
  }
  return null;
}

/** The box of all tables, which may lie at the end. @param {Range} range @param {ArrayBuffer} beginning @returns {Promise<Box | null>} */
async function tablesOf(range, beginning) {
  for (let at = 0, count = 0; count < MAX_BOXES; count += 1) {
    const head = at + 16 <= beginning.byteLength ? beginning.slice(at, at + 16) : await range(at, at + 16);
    if (head.byteLength < 16) return null;
    const box = new Box(new DataView(head), 0, 16);
    const size = box.word(0) === 1 ? box.long(8) : box.word(0);
    if (size < 8) return null;
    if (nameAt(box.view, 4) === "moov") {
      if (size > MAX_TABLE_BYTES) return null;
      const bytes = await range(at, at + size);
      return bytes.byteLength < size ? null : new Box(new DataView(bytes), 8, size);
    }
    at += size;
  }
  return null;
}

/** @param {Box} track @returns {Frames | null} */
function framesOf(track) {
  const samples = track.at("mdia", "minf", "stbl");
  const config = configOf(samples.at("stsd"));
  const [durations] = samples.all("stts");
  // Frames of one length; the last may be given as shorter.
  if (!config || !durations || durations.word(4) < 1 || durations.word(4) > 2 || durations.word(12) !== 1024) return null;
  const header = track.at("mdia", "mdhd");
  if (header.word(header.byte(0) === 1 ? 20 : 12) !== config.sampleRate) return null;
  const sizes = sizesOf(samples.at("stsz"));
  const places = placesOf(samples, sizes);
  if (!places) return null;
  const decoded = sizes.length * 1024;
  const skipped = skippedOf(track);
  return { ...config, frameSamples: 1024, skipped, length: Math.max(0, decoded - skipped), sizes, places };
}

/** Where the sound to be heard begins, by the edit list. @param {Box} track @returns {number} */
function skippedOf(track) {
  const [edits] = track.all("edts");
  const [list] = edits?.all("elst") ?? [];
  if (!list) return 0;
  const isLong = list.byte(0) === 1;
  for (let i = 0, at = 8; i < list.word(4); i += 1, at += isLong ? 20 : 12) {
    const time = isLong ? list.long(at + 8) : list.word(at + 4);
    if (time < 2 ** 31) return time; // an empty edit has the time -1
  }
  return 0;
}

/** Rate and ADTS header of AAC; null for another codec. @param {Box} descriptions */
function configOf(descriptions) {
  const [entry] = descriptions.all("mp4a", 8);
  // QuickTime's versions 1 and 2 have more fields before the inner boxes; version 1 may hide them in "wave".
  const version = entry ? entry.view.getUint16(entry.from + 8) : 0;
  const skip = 28 + (version === 1 ? 16 : version === 2 ? 36 : 0);
  const esds = entry?.all("esds", skip)[0] ?? entry?.all("wave", skip)[0]?.all("esds")[0];
  if (!esds) return null;
  const found = descriptor(descriptor(descriptor(esds, 4, 3), 3, 4), 13, 5);
  const bits = found ? found.view.getUint16(found.from) : 0;
  const [type, rate, channels] = [bits >> 11, (bits >> 7) & 15, (bits >> 3) & 15];
  const sampleRate = RATES[rate];
  if (type !== AAC_LC || !sampleRate || channels < 1 || channels > 7) return null;
  /** @param {number} size */
  const header = (size) => {
    const all = size + 7;
    return Uint8Array.of(0xff, 0xf1, 0x40 | (rate << 2) | (channels >> 2), ((channels & 3) << 6) | (all >> 11), (all >> 3) & 255, ((all & 7) << 5) | 31, 0xfc);
  };
  return { sampleRate, header };
}

/** The content of a descriptor inside another one, behind its own fields. @param {Box | null} box @param {number} skip bytes @param {number} tag @returns {Box | null} */
function descriptor(box, skip, tag) {
  if (!box || box.byte(skip) !== tag) return null;
  let at = skip + 1;
  let size = 0;
  for (let more = true; more; at += 1) {
    more = box.byte(at) >= 0x80;
    size = size * 128 + (box.byte(at) & 127);
  }
  return new Box(box.view, box.from + at, Math.min(box.to, box.from + at + size));
}

/** @param {Box} box @returns {Uint32Array} */
function sizesOf(box) {
  const [each, count] = [box.word(4), box.word(8)];
  if (count > (each ? MAX_TABLE_BYTES / 4 : (box.to - box.from) / 4)) throw new RangeError("too many frames");
  return Uint32Array.from({ length: count }, (_, i) => each || box.word(12 + 4 * i));
}

/** The place of each frame, by the chunks that they lie in; null if they do not fit together. @param {Box} samples @param {Uint32Array} sizes */
function placesOf(samples, sizes) {
  const [long] = samples.all("co64");
  const chunks = long ?? samples.at("stco");
  const runs = samples.at("stsc");
  const places = new Float64Array(sizes.length);
  let frame = 0;
  for (let chunk = 0, run = 0; chunk < chunks.word(4); chunk += 1) {
    if (run + 1 < runs.word(4) && runs.word(8 + 12 * (run + 1)) <= chunk + 1) run += 1;
    let at = long ? chunks.long(8 + 8 * chunk) : chunks.word(8 + 4 * chunk);
    const end = Math.min(sizes.length, frame + runs.word(12 + 12 * run));
    for (; frame < end; frame += 1) {
      places[frame] = at;
      at += sizes[frame] ?? 0;
    }
  }
  return frame === sizes.length && frame > 0 ? places : null;
}

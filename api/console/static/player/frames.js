// Frames of compressed files: where each begins, and how many samples it holds.
//
// A part of a file that begins with its head and goes on with any of its frames is a file of its own. A browser
// cuts the same samples from its beginning (what the encoder added there) as from the whole file, so sample j of a
// part that begins with frame i is sample i × (samples of a frame) + j of the whole. Nothing has to be known about
// how a browser counts.

/**
 * @typedef {object} Format
 * @property {number} sampleRate Hz
 * @property {number} frameSamples samples of a frame
 * @property {number} head bytes of the head that every part begins with, from `headFrom`
 * @property {number} headFrom
 * @property {number} first byte of the first frame
 * @property {(bytes: Uint8Array, at: number) => number} next length of the frame at a place; 0 if more bytes are needed, -1 if there is none
 */

const MPEG_BITRATES = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const MPEG2_BITRATES = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const MPEG_RATES = [44_100, 48_000, 32_000];
const AAC_RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/** A frame of FLAC is not longer than its samples as they are, and its header. */
const MAX_FLAC_BYTES = 1 << 20;

/** Return the format of a file by its first bytes; null if it cannot be read in parts. @param {Uint8Array} bytes @returns {Format | null} */
export function formatOf(bytes) {
  if (ascii(bytes, 0, 4) === "fLaC") return flac(bytes);
  const start = afterId3(bytes);
  return adts(bytes, start) ?? mpeg(bytes, start);
}

/** @param {Uint8Array} bytes @param {number} at @param {number} length */
function ascii(bytes, at, length) {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}

/** Where the sound begins behind an ID3 tag. @param {Uint8Array} bytes */
function afterId3(bytes) {
  if (ascii(bytes, 0, 3) !== "ID3") return 0;
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(6, 10);
  return 10 + ((a << 21) | (b << 14) | (c << 7) | d);
}

/** @param {Uint8Array} bytes @param {number} at */
function mpegHeader(bytes, at) {
  const [a = 0, b = 0, c = 0] = bytes.subarray(at, at + 3);
  if (a !== 0xff || (b & 0xe6) !== 0xe2) return null; // layer III
  const version = (b >> 3) & 3;
  const [bitrate, rate] = [c >> 4, (c >> 2) & 3];
  if (version === 1 || bitrate === 0 || bitrate === 15 || rate === 3) return null;
  const isFirst = version === 3;
  const sampleRate = (MPEG_RATES[rate] ?? 0) / (isFirst ? 1 : version === 2 ? 2 : 4);
  const samples = isFirst ? 1152 : 576;
  const bits = ((isFirst ? MPEG_BITRATES : MPEG2_BITRATES)[bitrate] ?? 0) * 1000;
  return { sampleRate, samples, length: Math.floor(((samples / 8) * bits) / sampleRate) + ((c >> 1) & 1) };
}

/** @param {Uint8Array} bytes @param {number} start @returns {Format | null} */
function mpeg(bytes, start) {
  const header = mpegHeader(bytes, start);
  if (!header || !mpegHeader(bytes, start + header.length)) return null;
  const words = ascii(bytes, start, Math.min(header.length, 64));
  const isTag = words.includes("Xing") || words.includes("Info"); // no sound, but how much of it is not to be heard
  const first = start + (isTag ? header.length : 0);
  return {
    sampleRate: header.sampleRate,
    frameSamples: header.samples,
    headFrom: start,
    head: first - start,
    first,
    next: (data, at) => (at + 4 > data.length ? 0 : (mpegHeader(data, at)?.length ?? -1)),
  };
}

/** @param {Uint8Array} bytes @param {number} at */
function adtsLength(bytes, at) {
  const [a = 0, b = 0, , d = 0, e = 0, f = 0] = bytes.subarray(at, at + 6);
  if (a !== 0xff || (b & 0xf6) !== 0xf0) return -1;
  const length = ((d & 3) << 11) | (e << 3) | (f >> 5);
  return length > 7 ? length : -1;
}

/** @param {Uint8Array} bytes @param {number} start @returns {Format | null} */
function adts(bytes, start) {
  const length = adtsLength(bytes, start);
  if (length < 0 || adtsLength(bytes, start + length) < 0) return null;
  return {
    sampleRate: AAC_RATES[((bytes[start + 2] ?? 0) >> 2) & 15] ?? 0,
    frameSamples: 1024,
    headFrom: start,
    head: 0,
    first: start,
    next: (data, at) => (at + 7 > data.length ? 0 : adtsLength(data, at)),
  };
}

/** @param {Uint8Array} bytes @returns {Format | null} */
function flac(bytes) {
  if (bytes.length < 42) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [least, most] = [view.getUint16(8), view.getUint16(10)];
  let at = 4;
  for (let isLast = false; !isLast; ) {
    if (at + 4 > bytes.length) return null;
    isLast = view.getUint8(at) >= 0x80;
    at += 4 + (view.getUint32(at) & 0xffffff);
  }
  if (least !== most || at + 16 > bytes.length || !isFlacFrame(bytes, at)) return null;
  // Of the metadata only the description of the stream is needed, marked as the last block.
  return { sampleRate: view.getUint32(18) >> 12, frameSamples: least, headFrom: 0, head: 42, first: at, next: nextFlac };
}

/** @param {Uint8Array} data @param {number} at */
function nextFlac(data, at) {
  if (at + 16 > data.length) return 0;
  if (!isFlacFrame(data, at)) return -1;
  const number = flacNumber(data, at);
  for (let next = data.indexOf(0xff, at + 6); next >= 0 && next + 16 <= data.length; next = data.indexOf(0xff, next + 1))
    if (isFlacFrame(data, next) && flacNumber(data, next) === number + 1) return next - at;
  return data.length - at > MAX_FLAC_BYTES ? -1 : 0;
}

/** Number of a frame, which its header holds like a letter in UTF-8. @param {Uint8Array} data @param {number} at */
function flacNumber(data, at) {
  const first = data[at + 4] ?? 0;
  if (first < 0x80) return first;
  let more = 0;
  while (first & (0x40 >> more)) more += 1;
  let value = first & (0x3f >> more);
  for (let i = 1; i <= more; i += 1) value = value * 64 + ((data[at + 4 + i] ?? 0) & 0x3f);
  return value;
}

/** Whether a frame with a number, of a stream with blocks of one size, begins here, by the check sum of its header. @param {Uint8Array} data @param {number} at */
function isFlacFrame(data, at) {
  const [a = 0, b = 0, c = 0, d = 0, first = 0] = data.subarray(at, at + 5);
  if (a !== 0xff || b !== 0xf8 || c >> 4 === 0 || (c & 15) === 15 || (d & 1) === 1) return false;
  let length = 5;
  if (first >= 0x80) for (let bit = 0x40; first & bit; bit >>= 1) length += 1;
  const [size, rate] = [c >> 4, c & 15];
  length += size === 6 ? 1 : size === 7 ? 2 : 0;
  length += rate === 12 ? 1 : rate === 13 || rate === 14 ? 2 : 0;
  return crc8(data, at, length) === data[at + length];
}

/** @param {Uint8Array} data @param {number} at @param {number} length */
function crc8(data, at, length) {
  let sum = 0;
  for (let i = at; i < at + length; i += 1) {
    sum ^= data[i] ?? 0;
    for (let bit = 0; bit < 8; bit += 1) sum = ((sum << 1) ^ (sum & 0x80 ? 7 : 0)) & 0xff;
  }
  return sum;
}

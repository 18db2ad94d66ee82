// WAV files: the header and samples of one, and one made of samples.

/**
 * @typedef {object} Header
 * @property {number} sampleRate Hz
 * @property {number} channels
 * @property {number} bits of a sample
 * @property {boolean} isFloat
 * @property {number} frameBytes
 * @property {number} offset of the first frame, bytes
 * @property {number} length frames
 */

const PCM = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;

/** Return what the beginning of a file says; null if it is no WAV file of samples. @param {ArrayBuffer} bytes @returns {Header | null} */
export function readWavHeader(bytes) {
  const view = new DataView(bytes);
  if (view.byteLength < 12 || text(view, 0) !== "RIFF" || text(view, 8) !== "WAVE") return null;
  let format = 0;
  let channels = 0;
  let sampleRate = 0;
  let bits = 0;
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const size = view.getUint32(at + 4, true);
    if (text(view, at) === "fmt " && at + 24 <= view.byteLength) {
      format = view.getUint16(at + 8, true);
      channels = view.getUint16(at + 10, true);
      sampleRate = view.getUint32(at + 12, true);
      bits = view.getUint16(at + 22, true);
      if (format === EXTENSIBLE && at + 34 <= view.byteLength) format = view.getUint16(at + 32, true);
    } else if (text(view, at) === "data") {
      const frameBytes = (channels * bits) / 8;
      const isKnown = (format === PCM && [16, 24, 32].includes(bits)) || (format === FLOAT && bits === 32);
      if (!isKnown || !frameBytes) return null;
      const offset = at + 8;
      return { sampleRate, channels, bits, isFloat: format === FLOAT, frameBytes, offset, length: Math.floor(size / frameBytes) };
    }
    at += 8 + size + (size % 2);
  }
  return null;
}

/** @param {DataView} view @param {number} at */
function text(view, at) {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
}

/** Return the samples of whole frames, one array for each channel. @param {Header} header @param {ArrayBuffer} bytes @returns {Float32Array<ArrayBuffer>[]} */
export function samplesOf(header, bytes) {
  const view = new DataView(bytes);
  const { channels, bits, isFloat, frameBytes } = header;
  const length = Math.floor(view.byteLength / frameBytes);
  const step = bits / 8;
  return Array.from({ length: channels }, (_, channel) => {
    const samples = new Float32Array(length);
    for (let i = 0; i < length; i += 1) {
      const at = i * frameBytes + channel * step;
      if (isFloat) samples[i] = view.getFloat32(at, true);
      else if (bits === 16) samples[i] = view.getInt16(at, true) / 0x8000;
      else if (bits === 24) samples[i] = (view.getUint16(at, true) + view.getInt8(at + 2) * 0x10000) / 0x800000;
      else samples[i] = view.getInt32(at, true) / 0x80000000;
    }
    return samples;
  });
}

/** Bytes of samples that a file can say it has; its header counts in 32 bits. */
const MAX_BYTES = 2 ** 32 - 64;

/** Return samples in 24 bits, the channels in turn. @param {Float32Array[]} channels @returns {Blob} */
export function inBits(channels) {
  const length = channels[0]?.length ?? 0;
  const view = new DataView(new ArrayBuffer(length * channels.length * 3));
  for (let i = 0, at = 0; i < length; i += 1)
    for (const samples of channels) {
      const value = Math.max(-0x800000, Math.min(0x7fffff, Math.round((samples[i] ?? 0) * 0x800000)));
      view.setUint16(at, value & 0xffff, true);
      view.setInt8(at + 2, value >> 16);
      at += 3;
    }
  return new Blob([view.buffer]);
}

/** Return a WAV file of parts in 24 bits; null if they are more than such a file can hold. @param {Blob[]} parts @param {number} channels @param {number} sampleRate @returns {Blob | null} */
export function wavFile(parts, channels, sampleRate) {
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  if (size > MAX_BYTES) return null;
  const frameBytes = channels * 3;
  const view = new DataView(new ArrayBuffer(44));
  /** @param {number} at @param {string} word */
  const put = (at, word) => {
    for (let i = 0; i < word.length; i += 1) view.setUint8(at + i, word.charCodeAt(i));
  };
  put(0, "RIFF");
  view.setUint32(4, 36 + size + (size % 2), true);
  put(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, PCM, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * frameBytes, true);
  view.setUint16(32, frameBytes, true);
  view.setUint16(34, 24, true);
  put(36, "data");
  view.setUint32(40, size, true);
  return new Blob([view.buffer, ...parts, new Uint8Array(size % 2)], { type: "audio/wav" });
}

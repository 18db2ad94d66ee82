// Tracks of which a part can be read: wav files, and compressed files frame by frame.
import { formatOf } from "./frames.js";
import { readMp4 } from "./mp4.js";
import { readWavHeader, samplesOf } from "./wav.js";

/**
 * @typedef {object} Track
 * @property {number} sampleRate Hz
 * @property {number | null} length samples; null where it is known only at its end
 * @property {(from: number, to: number) => Promise<Float32Array<ArrayBuffer>[]>} read samples of each channel; fewer at the end
 */
/** @typedef {(from: number, to: number) => Promise<ArrayBuffer>} Range bytes of a file; fewer at its end */

const BYTES_OF_HEAD = 65_536;
const BYTES_AT_ONCE = 1 << 20;
/** Frames before a part that set the decoder going: one of mp3 may need the bits of nine before it. */
const FRAMES_BEFORE = 12;
/** Frames behind it: what a decoder cuts from the beginning is missing at the end. */
const FRAMES_BEHIND = 4;
/** Frames of MP4 that lie so near to each other are read in one go, bytes. */
const GAP = 65_536;

/**
 * Return a track; null if it is of a kind that cannot be read in parts.
 * @param {BaseAudioContext} context
 * @param {Range} range
 * @returns {Promise<Track | null>}
 */
export async function openTrack(context, range) {
  const bytes = await range(0, BYTES_OF_HEAD);
  const wav = readWavHeader(bytes);
  if (wav) {
    const { sampleRate, length, offset, frameBytes } = wav;
    const read = async (/** @type {number} */ from, /** @type {number} */ to) => {
      const last = Math.min(to, length);
      return from < last ? samplesOf(wav, await range(offset + from * frameBytes, offset + last * frameBytes)) : [];
    };
    return { sampleRate, length, read };
  }
  const format = formatOf(new Uint8Array(bytes));
  if (format) return new Framed(context, range, format, new Uint8Array(bytes));
  const frames = await readMp4(range, bytes);
  return frames && new Listed(context, range, frames);
}

/** What decodes without a change of rate. @param {BaseAudioContext} context @param {number} sampleRate @returns {BaseAudioContext} */
function decoderAt(context, sampleRate) {
  return context.sampleRate === sampleRate ? context : new OfflineAudioContext(1, 1, sampleRate);
}

/** Samples of every channel; fewer at the end. @param {AudioBuffer} buffer @param {number} start @param {number} count */
function samplesFrom(buffer, start, count) {
  return Array.from({ length: buffer.numberOfChannels }, (_, channel) =>
    buffer.getChannelData(channel).subarray(start, Math.min(buffer.length, start + count)),
  );
}

/** An MP4 file, whose tables say where each frame is. */
export class Listed {
  /** @param {BaseAudioContext} context @param {Range} range @param {import("./mp4.js").Frames} frames */
  constructor(context, range, frames) {
    this.context = decoderAt(context, frames.sampleRate);
    this.range = range;
    this.frames = frames;
    this.sampleRate = frames.sampleRate;
    this.length = frames.length;
  }

  /** @param {number} from @param {number} to */
  async read(from, to) {
    const { frameSamples, skipped, sizes } = this.frames;
    const first = Math.max(0, Math.floor((from + skipped) / frameSamples) - FRAMES_BEFORE);
    const last = Math.min(Math.ceil((to + skipped) / frameSamples) + FRAMES_BEHIND, sizes.length);
    if (first >= last || from >= this.length) return [];
    const buffer = await this.context.decodeAudioData(await this.part(first, last));
    return samplesFrom(buffer, from + skipped - first * frameSamples, Math.min(to, this.length) - from);
  }

  /** Frames as an ADTS file. @param {number} first @param {number} last @returns {Promise<ArrayBuffer>} */
  async part(first, last) {
    const { places, sizes, header } = this.frames;
    const [placeOf, sizeOf] = [(/** @type {number} */ i) => places[i] ?? 0, (/** @type {number} */ i) => sizes[i] ?? 0];
    /** @type {BlobPart[]} */
    const parts = [];
    for (let i = first; i < last; ) {
      const begin = placeOf(i);
      let end = begin;
      let next = i;
      while (next < last && placeOf(next) >= end && placeOf(next) - end <= GAP && end - begin < BYTES_AT_ONCE) {
        end = placeOf(next) + sizeOf(next);
        next += 1;
      }
      const bytes = await this.range(begin, end);
      for (; i < next; i += 1) {
        const at = placeOf(i) - begin;
        parts.push(/** @type {BlobPart} */ (header(sizeOf(i))), bytes.slice(at, at + sizeOf(i)));
      }
    }
    return new Blob(parts).arrayBuffer();
  }
}

/** A compressed file, whose frames are counted as far as they are needed. */
export class Framed {
  /** @param {BaseAudioContext} context @param {Range} range @param {import("./frames.js").Format} format @param {Uint8Array<ArrayBuffer>} beginning */
  constructor(context, range, format, beginning) {
    this.context = decoderAt(context, format.sampleRate);
    this.range = range;
    this.format = format;
    this.sampleRate = format.sampleRate;
    /** @type {number | null} */
    this.length = null;
    this.head = beginning.slice(format.headFrom, format.headFrom + format.head);
    // The first block of FLAC is followed by none in a part.
    if (this.head[0] === 0x66) this.head[4] = 0x80;
    /** Where each frame begins, and the last known one ends. */
    this.places = [format.first];
    this.isComplete = false;
    /** @type {Promise<void>} */
    this.counting = Promise.resolve();
  }

  /** Know where frames are, up to a number of them or the end of the file. @param {number} count */
  count(count) {
    this.counting = this.counting.then(() => this.countFurther(count));
    return this.counting;
  }

  /** @param {number} count */
  async countFurther(count) {
    let wanted = BYTES_AT_ONCE;
    while (!this.isComplete && this.places.length <= count) {
      const from = this.places.at(-1) ?? 0;
      const bytes = new Uint8Array(await this.range(from, from + wanted));
      let at = 0;
      let length = this.format.next(bytes, at);
      while (length > 0 && at + length <= bytes.length) {
        at += length;
        this.places.push(from + at);
        length = this.format.next(bytes, at);
      }
      // A frame that is longer than what was read is read with more.
      const isEnd = bytes.length < wanted;
      if (isEnd && length === 0 && at < bytes.length) this.places.push(from + bytes.length); // FLAC's last one
      this.isComplete = isEnd || length < 0;
      wanted = at ? BYTES_AT_ONCE : wanted * 2;
    }
  }

  /** @param {number} from @param {number} to */
  async read(from, to) {
    const { frameSamples } = this.format;
    const first = Math.max(0, Math.floor(from / frameSamples) - FRAMES_BEFORE);
    await this.count(Math.ceil(to / frameSamples) + FRAMES_BEHIND);
    const last = Math.min(Math.ceil(to / frameSamples) + FRAMES_BEHIND, this.places.length - 1);
    const [begin, end] = [this.places[first], this.places[last]];
    if (begin === undefined || end === undefined || begin >= end) return [];
    const frames = new Uint8Array(await this.range(begin, end));
    const part = new Uint8Array(this.head.length + frames.length);
    part.set(this.head);
    part.set(frames, this.head.length);
    const buffer = await this.context.decodeAudioData(part.buffer);
    return samplesFrom(buffer, from - first * frameSamples, to - from);
  }
}

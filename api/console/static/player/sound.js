// The tracks of a job as one sound of many channels, whole or in pieces.
import { t } from "../text.js";
import { CHANNELS } from "./graph.js";
import { readWavHeader, samplesOf } from "./wav.js";

/** @typedef {import("./transport.js").Sound} Sound */

/** Samples that are held in memory without a second thought, bytes; a longer song is loaded in pieces, if it can be. */
const MOST_BYTES = 1_200_000_000;
/** Samples that are held in memory where a song cannot be loaded in pieces, bytes. */
const MOST_WHOLE_BYTES = 3_000_000_000;
const PIECE_S = 20;
/** Pieces that are kept. */
const KEPT_PIECES = 4;
const BYTES_OF_HEADER = 65_536;

/** A song that a browser cannot hold, in a codec that cannot be read in pieces. */
export class TooLong extends Error {
  constructor() {
    super(t("player.tooLong"));
  }
}

/**
 * Return a sound with the channels of several buffers side by side; mono tracks are heard on both sides.
 * @param {BaseAudioContext} context
 * @param {AudioBuffer[]} tracks
 * @returns {AudioBuffer}
 */
export function sideBySide(context, tracks) {
  const length = Math.max(1, ...tracks.map((track) => track.length));
  const all = context.createBuffer(tracks.length * CHANNELS, length, context.sampleRate);
  tracks.forEach((track, index) => {
    for (let channel = 0; channel < CHANNELS; channel += 1) {
      const from = Math.min(channel, track.numberOfChannels - 1);
      all.copyToChannel(track.getChannelData(from), index * CHANNELS + channel);
    }
  });
  return all;
}

/** A sound that is in memory. @param {AudioBuffer} buffer @returns {Sound} */
export function whole(buffer) {
  return {
    length: buffer.length,
    sampleRate: buffer.sampleRate,
    pieceAt: () => ({ start: 0, end: buffer.length }),
    loaded: () => buffer,
    load: async () => buffer,
  };
}

/** Whether a song of that many seconds fits into memory. @param {number} seconds @param {number} tracks @param {boolean} [inNeed] because it cannot be loaded in pieces */
export function fits(seconds, tracks, inNeed = false) {
  return seconds * 44_100 * 4 * CHANNELS * (tracks + 1) < (inNeed ? MOST_WHOLE_BYTES : MOST_BYTES);
}

/**
 * Load and decode the tracks one after the other, which bounds the memory.
 * @param {BaseAudioContext} context
 * @param {string[]} urls
 * @param {AbortSignal} signal
 * @param {(share: number) => void} onProgress 0 to 1
 * @param {typeof fetch} [get]
 * @returns {Promise<{buffer: AudioBuffer, tracks: (AudioBuffer | null)[], errors: unknown[]}>} null for a track that cannot be decoded
 */
export async function loadWhole(context, urls, signal, onProgress, get = (...given) => fetch(...given)) {
  /** @type {(AudioBuffer | null)[]} */
  const tracks = [];
  const errors = [];
  for (const [index, url] of urls.entries()) {
    try {
      const bytes = await received(await get(url, { signal }), (share) => onProgress((index + share * 0.8) / urls.length));
      tracks.push(await context.decodeAudioData(bytes));
    } catch (error) {
      signal.throwIfAborted();
      tracks.push(null);
      errors.push(error);
    }
    onProgress((index + 1) / urls.length);
  }
  const silence = context.createBuffer(1, 1, context.sampleRate);
  return { buffer: sideBySide(context, tracks.map((track) => track ?? silence)), tracks, errors };
}

/** @param {Response} answer @param {(share: number) => void} onProgress @returns {Promise<ArrayBuffer>} */
async function received(answer, onProgress) {
  if (!answer.ok || !answer.body) throw new Error(`${answer.status} ${answer.statusText}`);
  const total = Number(answer.headers.get("content-length")) || 0;
  const parts = [];
  let size = 0;
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
    if (total) onProgress(size / total);
  }
  return new Blob(/** @type {BlobPart[]} */ (parts)).arrayBuffer();
}

/**
 * A long song whose tracks are wav files, loaded in pieces.
 * @param {BaseAudioContext} context
 * @param {string[]} urls
 * @param {typeof fetch} [get]
 * @returns {Promise<Sound>}
 */
export async function inPieces(context, urls, get = (...given) => fetch(...given)) {
  /** @param {string} url @param {number} from @param {number} to */
  const range = async (url, from, to) => {
    const answer = await get(url, { headers: { Range: `bytes=${from}-${to - 1}` } });
    if (answer.status !== 206) throw new TooLong();
    return answer.arrayBuffer();
  };
  const headers = await Promise.all(
    urls.map(async (url) => {
      const header = readWavHeader(await range(url, 0, BYTES_OF_HEADER));
      if (!header || header.sampleRate !== context.sampleRate) throw new TooLong();
      return header;
    }),
  );
  const length = Math.max(...headers.map((header) => header.length));
  const size = PIECE_S * context.sampleRate;
  /** @type {Map<number, AudioBuffer>} */
  const kept = new Map();
  /** @type {Map<number, Promise<AudioBuffer>>} */
  const loading = new Map();

  /** @param {number} start */
  const read = async (start) => {
    const end = Math.min(start + size, length);
    const buffer = context.createBuffer(urls.length * CHANNELS, end - start, context.sampleRate);
    await Promise.all(
      urls.map(async (url, index) => {
        const header = /** @type {import("./wav.js").Header} */ (headers[index]);
        const last = Math.min(end, header.length);
        if (start >= last) return;
        const bytes = await range(url, header.offset + start * header.frameBytes, header.offset + last * header.frameBytes);
        const channels = samplesOf(header, bytes);
        for (let channel = 0; channel < CHANNELS; channel += 1) {
          const samples = channels[Math.min(channel, channels.length - 1)];
          if (samples) buffer.copyToChannel(samples, index * CHANNELS + channel);
        }
      }),
    );
    kept.set(start, buffer);
    for (const old of [...kept.keys()].slice(0, Math.max(0, kept.size - KEPT_PIECES))) kept.delete(old);
    return buffer;
  };
  return {
    length,
    sampleRate: context.sampleRate,
    pieceAt: (sample) => {
      const start = Math.floor(Math.min(sample, length - 1) / size) * size;
      return { start, end: Math.min(start + size, length) };
    },
    loaded: (start) => kept.get(start) ?? null,
    load: (start) => {
      const here = kept.get(start);
      if (here) return Promise.resolve(here);
      const running = loading.get(start) ?? read(start).finally(() => loading.delete(start));
      loading.set(start, running);
      return running;
    },
  };
}

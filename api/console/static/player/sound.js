// The tracks of a job as one sound of many channels, whole or in pieces.
import { t } from "../text.js";
import { CHANNELS } from "./graph.js";
import { atRate } from "./resample.js";
import { fromStore } from "./store.js";
import { BEYOND } from "./stretch.js";
import { openTrack } from "./tracks.js";

/** @typedef {import("./transport.js").Sound} Sound */
/** @typedef {import("./store.js").Reading} Reading */

/** Samples that are held in memory without a second thought, bytes; a longer song is loaded in pieces, if it can be. */
const MOST_BYTES = 1_200_000_000;
/** Samples that are held in memory where a song cannot be loaded in pieces, bytes. */
const MOST_WHOLE_BYTES = 3_000_000_000;
const PIECE_S = 20;
/** Pieces that are kept. */
const KEPT_PIECES = 4;
/** Longest wait for a part of a file, ms. */
const RANGE_MS = 60_000;

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
 * @param {Omit<Reading, "signal">} [reading]
 * @returns {Promise<{buffer: AudioBuffer, tracks: (AudioBuffer | null)[], errors: unknown[]}>} null for a track that cannot be decoded
 */
export async function loadWhole(context, urls, signal, onProgress, { renew, get } = {}) {
  /** @type {(AudioBuffer | null)[]} */
  const tracks = [];
  const errors = [];
  const links = [...urls];
  for (let index = 0; index < links.length; index += 1) {
    try {
      const bytes = await fromStore(links, index, { signal, renew, get }, async (ask) => received(await ask(), (share) => onProgress((index + share * 0.8) / links.length)));
      tracks.push(await context.decodeAudioData(bytes));
    } catch (error) {
      signal.throwIfAborted();
      tracks.push(null);
      errors.push(error);
    }
    onProgress((index + 1) / links.length);
  }
  const silence = context.createBuffer(1, 1, context.sampleRate);
  return { buffer: sideBySide(context, tracks.map((track) => track ?? silence)), tracks, errors };
}

/** @param {Response} answer @param {(share: number) => void} onProgress @returns {Promise<ArrayBuffer | number>} the status of a refusal */
async function received(answer, onProgress) {
  if (!answer.ok || !answer.body) return answer.status;
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
 * What reads ranges of a file; a link that has expired is renewed.
 * @param {string[]} urls of all tracks, changed when they are renewed
 * @param {number} index
 * @param {Reading} reading
 * @returns {import("./tracks.js").Range}
 */
function rangeOf(urls, index, reading) {
  return (from, to) =>
    fromStore(urls, index, reading, async (get) => {
      const limit = AbortSignal.any([AbortSignal.timeout(RANGE_MS), ...(reading.signal ? [reading.signal] : [])]);
      const answer = await get({ headers: { Range: `bytes=${from}-${to - 1}` }, signal: limit });
      if (answer.status === 206) return answer.arrayBuffer();
      if (answer.status === 416) return new ArrayBuffer(0); // behind the end
      if (answer.status === 200) throw new TooLong();
      return answer.status;
    });
}

/**
 * A long song, loaded in pieces.
 * @param {BaseAudioContext} context
 * @param {string[]} links
 * @param {Reading & {seconds: number, optional?: number}} reading `optional` is the track that may be missing
 * @returns {Promise<{sound: Sound, missing: number[]}>}
 */
export async function inPieces(context, links, reading) {
  const urls = [...links];
  const opened = await Promise.all(urls.map((_, index) => openTrack(context, rangeOf(urls, index, reading))));
  const tracks = opened.map((track) => track && atRate(track, context.sampleRate));
  const missing = tracks.flatMap((track, index) => (track ? [] : [index]));
  if (missing.some((index) => index !== reading.optional)) throw new TooLong();
  const lengths = tracks.map((track) => track?.length ?? Math.round(reading.seconds * context.sampleRate));
  const length = Math.max(1, ...lengths.filter((_, index) => tracks[index]));
  const size = PIECE_S * context.sampleRate;
  /** @type {Map<number, AudioBuffer>} */
  const kept = new Map();
  /** @type {Map<number, Promise<AudioBuffer>>} */
  const loading = new Map();

  /** @param {number} start */
  const read = async (start) => {
    const end = Math.min(start + size, length);
    const buffer = context.createBuffer(urls.length * CHANNELS, end - start + BEYOND, context.sampleRate);
    await Promise.all(
      tracks.map(async (track, index) => {
        const channels = (await track?.read(start, end + BEYOND)) ?? [];
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
  /** @type {Sound} */
  const sound = {
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
  return { sound, missing };
}

// The tracks of a job as one sound of many channels, whole or in pieces.
import { t } from "../text.js";
import { CHANNELS } from "./graph.js";
import { atRate } from "./resample.js";
import { fromStore, received, StoreError, TRIES } from "./store.js";
import { BEYOND } from "./stretch.js";
import { openTrack } from "./tracks.js";

/** @typedef {import("./transport.js").Sound} Sound */
/** @typedef {import("./store.js").Reading} Reading */

/** Samples that are held in memory without a second thought, bytes; a longer song is loaded in pieces, if it can be. */
const MAX_BYTES = 1_200_000_000;
/** Samples that are held in memory where a song cannot be loaded in pieces, bytes. */
const MAX_WHOLE_BYTES = 3_000_000_000;
const PIECE_S = 20;
/** Pieces that are kept. */
const KEPT_PIECES = 4;
/** How long a store may be silent about a track that has failed already, ms: the others wait for it. */
const SILENT_AGAIN_MS = 3_000;

/** A song that a browser cannot hold, in a codec that cannot be read in pieces. */
export class TooLong extends Error {
  constructor() {
    super(t("player.tooLong"));
  }
}

/** A track that this browser cannot play: not at all, or not in pieces. */
export class Unplayable extends Error {
  /** @param {"undecodable" | "notInPieces"} why */
  constructor(why) {
    super(t(`player.${why}`));
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
  return seconds * 44_100 * 4 * CHANNELS * (tracks + 1) < (inNeed ? MAX_WHOLE_BYTES : MAX_BYTES);
}

/**
 * Load the tracks, and decode them one after the other, which bounds the memory.
 * @param {BaseAudioContext} context
 * @param {string[]} urls
 * @param {AbortSignal} signal
 * @param {(share: number) => void} onProgress 0 to 1
 * @param {Omit<Reading, "signal">} [reading]
 * @returns {Promise<{buffer: AudioBuffer, failed: Map<number, unknown>}>} `failed` says by index why a track is silent
 */
export async function loadWhole(context, urls, signal, onProgress, reading = {}) {
  const links = [...urls];
  const shares = links.map(() => 0);
  /** @param {number} index @param {number} share */
  const progress = (index, share) => {
    shares[index] = share;
    onProgress(shares.reduce((sum, each) => sum + each, 0) / shares.length);
  };
  const files = links.map((_, index) =>
    fromStore(links, index, { ...reading, signal }, async (get, heard) => received(await get(), heard, (share) => progress(index, share * 0.8))).catch((error) => ({ error })),
  );
  const silence = context.createBuffer(1, 1, context.sampleRate);
  const tracks = [];
  const failed = new Map();
  for (const [index, loading] of files.entries()) {
    const file = await loading;
    signal.throwIfAborted();
    let track = silence;
    if (!(file instanceof Blob)) failed.set(index, file.error);
    else track = await file.arrayBuffer().then((bytes) => context.decodeAudioData(bytes)).catch(() => {
      failed.set(index, new Unplayable("undecodable"));
      return silence;
    });
    tracks.push(track);
    progress(index, 1);
  }
  return { buffer: sideBySide(context, tracks), failed };
}

/**
 * What reads ranges of a file; a link that has expired is renewed.
 * @param {string[]} urls of all tracks, changed when they are renewed
 * @param {number} index
 * @param {Reading} reading
 * @param {Map<number, unknown>} failed tracks that have failed, and are not waited for as long as the others
 * @returns {import("./tracks.js").Range}
 */
function rangeOf(urls, index, reading, failed) {
  return (from, to) => {
    const [tries, silentMs] = failed.has(index) ? [1, SILENT_AGAIN_MS] : [TRIES, undefined];
    return fromStore(urls, index, { ...reading, tries, silentMs }, async (get, heard) => {
      const answer = await get({ headers: { Range: `bytes=${from}-${to - 1}` } });
      if (answer.status === 416) return new ArrayBuffer(0); // behind the end
      if (answer.status === 200) throw new TooLong();
      const bytes = await received(answer, heard);
      return typeof bytes === "number" ? bytes : bytes.arrayBuffer();
    });
  };
}

/**
 * Open tracks to be read in pieces. Those that the store does not give are left out, and the one that may be missing.
 * @param {BaseAudioContext} context
 * @param {string[]} urls
 * @param {Reading & {optional?: number}} reading
 * @param {Map<number, unknown>} failed says by index why a track is left out
 */
async function openTracks(context, urls, reading, failed) {
  const opened = await Promise.all(
    urls.map(async (_, index) => {
      try {
        const track = await openTrack(context, rangeOf(urls, index, reading, failed));
        if (track) return atRate(track, context.sampleRate);
        if (index !== reading.optional) throw new TooLong();
        failed.set(index, new Unplayable("notInPieces"));
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        failed.set(index, error);
      }
      return null;
    }),
  );
  if (failed.size === urls.length) throw [...failed.values()].at(-1);
  return opened;
}

/**
 * A long song, loaded in pieces. A track that fails is silent until it can be read again.
 * @param {BaseAudioContext} context
 * @param {string[]} links
 * @param {Reading & {seconds: number, optional?: number, onTrouble?: () => void}} reading `optional` is the track that may be missing
 * @returns {Promise<{sound: Sound, failed: Map<number, unknown>}>} `failed` says by index why a track is silent now; `onTrouble` is called when it changes
 */
export async function inPieces(context, links, reading) {
  const urls = [...links];
  /** @type {Map<number, unknown>} */
  const failed = new Map();
  const tracks = await openTracks(context, urls, reading, failed);
  const lengths = tracks.map((track) => track?.length ?? Math.round(reading.seconds * context.sampleRate));
  const length = Math.max(1, ...lengths.filter((_, index) => tracks[index]));
  const size = PIECE_S * context.sampleRate;
  /** @type {Map<number, AudioBuffer>} */
  const kept = new Map();
  /** Pieces that lack a track, which are read again when they are asked for. @type {Set<number>} */
  const lacking = new Set();
  /** @type {Map<number, Promise<AudioBuffer>>} */
  const loading = new Map();

  /** @param {number} start */
  const read = async (start) => {
    const end = Math.min(start + size, length);
    const buffer = context.createBuffer(urls.length * CHANNELS, end - start + BEYOND, context.sampleRate);
    /** @type {unknown[]} */
    const errors = [];
    let count = 0;
    await Promise.all(
      tracks.map(async (track, index) => {
        if (!track) return;
        try {
          const channels = await track.read(start, end + BEYOND);
          for (let channel = 0; channel < CHANNELS; channel += 1) {
            const samples = channels[Math.min(channel, channels.length - 1)];
            if (samples) buffer.copyToChannel(samples, index * CHANNELS + channel);
          }
          count += 1;
          if (failed.delete(index)) reading.onTrouble?.();
        } catch (error) {
          errors.push(error);
          failed.set(index, error);
          reading.onTrouble?.();
        }
      }),
    );
    if (!count) throw errors[0];
    if (errors.length) lacking.add(start);
    else lacking.delete(start);
    kept.delete(start);
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
      if (here && !lacking.has(start)) return Promise.resolve(here);
      const running = loading.get(start) ?? read(start).finally(() => loading.delete(start));
      loading.set(start, running);
      return running;
    },
  };
  return { sound, failed };
}

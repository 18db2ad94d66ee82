// Another speed at the same pitch: WSOLA (Verhelst and Roelands 1993), by overlapping grains of the sound itself.
//
// A grain holds all tracks, so they stay together to the sample. Grains are ordinary source nodes on the context's
// clock; an AudioWorklet would do the same, but browsers have none on plain http.

/** Between the beginnings of two grains as they are heard, frames (46 ms). */
export const HOP = 2048;
const GRAIN = 2 * HOP;
/** How far a grain may lie from its place to fit to the one before, samples (16 ms: one period of 63 Hz). */
export const SEARCH = 700;
/** What a piece of a long song must hold beyond its end, samples. */
export const BEYOND = GRAIN + 2 * SEARCH;
const COARSE = 8;

const RISE = Float32Array.from({ length: 65 }, (_, i) => Math.sin((Math.PI / 2) * (i / 64)) ** 2);
const FALL = RISE.slice().reverse();
const WHOLE = Float32Array.from([...RISE, ...FALL.slice(1)]);

/**
 * Return where candidates match a reference best, by their normalised correlation.
 * @param {Float32Array} reference
 * @param {Float32Array} candidates begins with the first one
 * @param {number} middle the one that is preferred
 * @returns {number} index of the first sample of the best one
 */
export function bestMatch(reference, candidates, middle) {
  const last = candidates.length - reference.length;
  let best = middle;
  let most = likeness(reference, candidates, middle, 2) + 1e-6;
  /** @param {number} at @param {number} step */
  const compare = (at, step) => {
    if (at < 0 || at > last) return;
    const found = likeness(reference, candidates, at, step);
    if (found > most) [best, most] = [at, found];
  };
  for (let at = middle % COARSE; at <= last; at += COARSE) compare(at, 4);
  const near = best;
  most = likeness(reference, candidates, near, 2);
  for (let at = near - COARSE + 1; at < near + COARSE; at += 1) compare(at, 2);
  return best;
}

/** @param {Float32Array} reference @param {Float32Array} candidates @param {number} at @param {number} step */
function likeness(reference, candidates, at, step) {
  let product = 0;
  let energy = 1e-9;
  for (let i = 0; i < reference.length; i += step) {
    const value = candidates[at + i] ?? 0;
    product += (reference[i] ?? 0) * value;
    energy += value * value;
  }
  return product / Math.sqrt(energy);
}

/** All tracks of a part of a buffer as one channel; silence beyond its ends. @param {AudioBuffer} buffer @param {number} from @param {number} length */
function together(buffer, from, length) {
  const sum = new Float32Array(length);
  const [begin, end] = [Math.max(0, from), Math.min(buffer.length, from + length)];
  for (let channel = 0; channel < buffer.numberOfChannels; channel += 1) {
    const data = buffer.getChannelData(channel);
    for (let i = begin; i < end; i += 1) sum[i - from] = (sum[i - from] ?? 0) + (data[i] ?? 0);
  }
  return sum;
}

export class Stretch {
  /** @param {BaseAudioContext} context @param {AudioNode} output @param {import("./transport.js").Sound} sound */
  constructor(context, output, sound) {
    this.context = context;
    this.output = output;
    this.sound = sound;
    /** How the sound would go on behind the last grain; null at the beginning. @type {Float32Array | null} */
    this.following = null;
  }

  /** Begin anew: what comes next does not go on from what was. */
  reset() {
    this.following = null;
  }

  /**
   * Make the grains of a span; the buffers of all its pieces are loaded.
   * @param {number} from sample
   * @param {number} time of the context
   * @param {number} frames how long it is heard
   * @param {number} speed
   * @param {boolean} isLast whether nothing goes on from its end
   * @returns {{stop: (time: number) => void}}
   */
  grains(from, time, frames, speed, isLast) {
    const { sampleRate } = this.context;
    const until = time + frames / sampleRate;
    /** @type {AudioBufferSourceNode[]} */
    const nodes = [];
    // Before the first grain lies the second half of one whose middle is the beginning.
    if (!this.following) nodes.push(this.begin(from, time));
    for (let at = 0; at < frames; at += HOP) {
      // The middle of a grain is heard when it is its turn.
      nodes.push(this.grain(Math.round(from + (at + HOP) * speed - HOP), time + at / sampleRate));
    }
    if (isLast) for (const node of nodes) node.stop(until);
    return {
      stop: (when) => {
        for (const node of nodes) node.stop(isLast ? Math.min(when, until) : when);
      },
    };
  }

  /** The piece that holds a sample, or one beside it. @param {number} sample */
  pieceOf(sample) {
    const { sound } = this;
    const starts = [sample - SEARCH, sample, sample + HOP].map((each) => sound.pieceAt(Math.max(0, each)).start);
    const start = starts.find((each) => sound.loaded(each)) ?? 0;
    return { start, buffer: /** @type {AudioBuffer} */ (sound.loaded(start)) };
  }

  /** @param {number} from sample @param {number} time */
  begin(from, time) {
    const { start, buffer } = this.pieceOf(from);
    this.following = together(buffer, from - start, HOP);
    return this.play(buffer, from - start, time, FALL, HOP);
  }

  /** @param {number} place sample that it begins with, or one near to it @param {number} time */
  grain(place, time) {
    const { start, buffer } = this.pieceOf(place);
    const lowest = place - start - SEARCH;
    const candidates = together(buffer, lowest, 2 * SEARCH + HOP);
    const begin = lowest + bestMatch(this.following ?? candidates, candidates, SEARCH);
    this.following = together(buffer, begin + HOP, HOP);
    return this.play(buffer, begin, time, WHOLE, GRAIN);
  }

  /** Let a part of a buffer be heard; what lies before its beginning is silence. @param {AudioBuffer} buffer @param {number} begin @param {number} time @param {Float32Array} curve @param {number} length samples */
  play(buffer, begin, time, curve, length) {
    const { context } = this;
    const node = new AudioBufferSourceNode(context, { buffer });
    const gain = new GainNode(context, { gain: 0 });
    gain.gain.setValueCurveAtTime(curve, time, length / context.sampleRate);
    node.connect(gain).connect(this.output);
    node.onended = () => gain.disconnect();
    const silent = Math.max(0, -begin);
    node.start(time + silent / context.sampleRate, Math.max(0, begin) / buffer.sampleRate, Math.max(0, length - silent) / buffer.sampleRate);
    return node;
  }
}

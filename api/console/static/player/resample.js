// Tracks of another sample rate, converted part by part.
//
// Output sample n is the windowed sinc around input sample n × from / to. That depends on n alone, so parts join
// without a seam.

/** @typedef {import("./tracks.js").Track} Track */

/** Zero crossings of the sinc on each side. */
const CROSSINGS = 32;
/** Share of the narrower band that passes. */
const PASSED = 0.95;
/** Shape of the Kaiser window: about 90 dB of attenuation. */
const BETA = 9;
/** Filters that are kept at most, one for each place between two input samples. */
const MAX_PHASES = 2000;
/** Output samples between two turns that the page gets. */
const AT_ONCE = 44_100;

/**
 * Return a track at a rate; null if the two rates have no small common measure.
 * @param {Track} track
 * @param {number} sampleRate Hz
 * @returns {Track | null}
 */
export function atRate(track, sampleRate) {
  if (track.sampleRate === sampleRate) return track;
  const measure = commonMeasure(track.sampleRate, sampleRate);
  const [down, up] = [track.sampleRate / measure, sampleRate / measure];
  if (!Number.isInteger(down) || !Number.isInteger(up) || up > MAX_PHASES) return null;
  const reach = Math.ceil(CROSSINGS * Math.max(1, down / up));
  const filters = filtersOf(up, reach, PASSED * Math.min(1, up / down));
  /** @param {number} from @param {number} to */
  const read = async (from, to) => {
    const first = Math.floor((from * down) / up) - reach + 1;
    const begin = Math.max(0, first);
    const inputs = await track.read(begin, Math.floor(((to - 1) * down) / up) + reach + 1);
    const end = Math.ceil(((begin + (inputs[0]?.length ?? 0)) * up) / down);
    const length = Math.max(0, Math.min(to, end) - from);
    if (!length) return [];
    /** @type {Float32Array<ArrayBuffer>[]} */
    const outputs = [];
    for (const input of inputs) {
      // Before and behind the track there is silence.
      const padded = new Float32Array(input.length + begin - first + 2 * reach);
      padded.set(input, begin - first);
      const output = new Float32Array(length);
      for (let start = 0; start < length; start += AT_ONCE) {
        if (start) await turn();
        for (let i = start; i < Math.min(start + AT_ONCE, length); i += 1) {
          const place = (from + i) * down;
          const filter = filters[place % up] ?? NONE;
          const at = Math.floor(place / up) - reach + 1 - first;
          let sum = 0;
          for (let k = 0; k < filter.length; k += 1) sum += /** @type {number} */ (padded[at + k]) * /** @type {number} */ (filter[k]);
          output[i] = sum;
        }
      }
      outputs.push(output);
    }
    return outputs;
  };
  return { sampleRate, length: track.length === null ? null : Math.ceil((track.length * up) / down), read };
}

const NONE = new Float64Array(0);

/** @param {number} a @param {number} b @returns {number} */
function commonMeasure(a, b) {
  return b ? commonMeasure(b, a % b) : a;
}

/** Filters for each of so many places between two samples, of twice the reach. @param {number} phases @param {number} reach @param {number} band 1 is half the input's rate */
function filtersOf(phases, reach, band) {
  return Array.from({ length: phases }, (_, phase) => {
    const filter = Float64Array.from({ length: 2 * reach }, (_, k) => {
      const x = k - reach + 1 - phase / phases;
      const sinc = x ? Math.sin(Math.PI * band * x) / (Math.PI * band * x) : 1;
      return sinc * bessel(BETA * Math.sqrt(Math.max(0, 1 - (x / reach) ** 2)));
    });
    const sum = filter.reduce((all, value) => all + value, 0);
    return filter.map((value) => value / sum);
  });
}

/** Modified Bessel function of the first kind, order 0. @param {number} x */
function bessel(x) {
  let sum = 1;
  for (let term = 1, k = 1; term > sum * 1e-12; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** Let the page draw and answer; a timer would wait for a second in a tab that is not seen. @returns {Promise<void>} */
function turn() {
  return new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      done();
    };
    port2.postMessage(0);
  });
}

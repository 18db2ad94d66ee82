// Waveforms: pairs of the smallest and the largest sample, from the job or from the sound itself.

/** @typedef {{least: Float32Array, most: Float32Array, seconds: number}} Peaks */

/** Return the pairs of the API's waveform: base64 of signed bytes. @param {string} pairs @param {number} samplesPerPair @param {number} sampleRate @returns {Peaks} */
export function peaksOfPairs(pairs, samplesPerPair, sampleRate) {
  const bytes = Int8Array.from(atob(pairs), (sign) => sign.charCodeAt(0));
  const count = bytes.length >> 1;
  const peaks = empty(count, (count * samplesPerPair) / sampleRate);
  for (let i = 0; i < count; i += 1) {
    peaks.least[i] = (bytes[2 * i] ?? 0) / 127;
    peaks.most[i] = (bytes[2 * i + 1] ?? 0) / 127;
  }
  return peaks;
}

/** Return the pairs of two channels of a buffer. @param {AudioBuffer} buffer @param {number} first channel @param {number} count @returns {Peaks} */
export function peaksOfBuffer(buffer, first, count = 1000) {
  const peaks = empty(count, buffer.duration);
  const channels = [buffer.getChannelData(first), buffer.getChannelData(first + 1)];
  for (let i = 0; i < count; i += 1) {
    const from = Math.floor((i / count) * buffer.length);
    const to = Math.max(from + 1, Math.floor(((i + 1) / count) * buffer.length));
    let least = 0;
    let most = 0;
    for (const channel of channels)
      for (let n = from; n < to; n += 1) {
        const value = channel[n] ?? 0;
        if (value < least) least = value;
        if (value > most) most = value;
      }
    peaks.least[i] = least;
    peaks.most[i] = most;
  }
  return peaks;
}

/** @param {number} count @param {number} seconds @returns {Peaks} */
function empty(count, seconds) {
  return { least: new Float32Array(count), most: new Float32Array(count), seconds };
}

/** Fit a canvas to its size on the screen. @param {HTMLCanvasElement} canvas */
function fitted(canvas) {
  const ratio = Math.min(2, devicePixelRatio || 1);
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return { pen: /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")), width, height };
}

/** Draw a waveform in the colour of the canvas's text. @param {HTMLCanvasElement} canvas @param {Peaks} peaks @param {number} seconds of the whole song */
export function drawPeaks(canvas, peaks, seconds) {
  const { pen, width, height } = fitted(canvas);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = getComputedStyle(canvas).color;
  const end = (peaks.seconds / Math.max(seconds, 1e-6)) * width;
  const count = peaks.most.length;
  const middle = height / 2;
  for (let x = 0; x < Math.min(end, width); x += 1) {
    const from = Math.floor((x / end) * count);
    const to = Math.max(from + 1, Math.floor(((x + 1) / end) * count));
    let least = 0;
    let most = 0;
    for (let i = from; i < to && i < count; i += 1) {
      least = Math.min(least, peaks.least[i] ?? 0);
      most = Math.max(most, peaks.most[i] ?? 0);
    }
    const top = middle - most * middle;
    pen.fillRect(x, top, 1, Math.max(1, middle - least * middle - top));
  }
  canvas.dataset.drawn = "wave";
}

/** Draw a spectrogram, lighter for louder, in steps that leave the page usable. @param {HTMLCanvasElement} canvas @param {AudioBuffer} buffer @param {number} first channel @param {AbortSignal} signal */
export async function drawSpectrogram(canvas, buffer, first, signal) {
  const { pen, width, height } = fitted(canvas);
  const size = 2048;
  const left = buffer.getChannelData(first);
  const right = buffer.getChannelData(first + 1);
  const window = Float32Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
  const re = new Float32Array(size);
  const im = new Float32Array(size);
  const column = pen.createImageData(1, height);
  const nyquist = buffer.sampleRate / 2;
  /** Bin of each row: frequencies from 40 Hz, logarithmic. */
  const bins = Array.from({ length: height }, (_, y) => Math.min(size / 2 - 1, Math.round(((40 * (nyquist / 40) ** (1 - y / height)) / nyquist) * (size / 2))));
  for (let x = 0; x < width; x += 1) {
    const centre = Math.floor(((x + 0.5) / width) * buffer.length) - size / 2;
    for (let i = 0; i < size; i += 1) {
      const n = centre + i;
      re[i] = n >= 0 && n < buffer.length ? (((left[n] ?? 0) + (right[n] ?? 0)) / 2) * (window[i] ?? 0) : 0;
      im[i] = 0;
    }
    fft(re, im);
    bins.forEach((bin, y) => {
      const power = (re[bin] ?? 0) ** 2 + (im[bin] ?? 0) ** 2;
      const level = Math.max(0, Math.min(1, (10 * Math.log10(power + 1e-12) + 40) / 90));
      column.data.set([255 * level ** 1.5, 200 * level ** 2.2, 90 + 120 * level * (1 - level), 255], y * 4);
    });
    pen.putImageData(column, x, 0);
    if (x % 24 === 23) {
      await new Promise((done) => setTimeout(done));
      if (signal.aborted) return;
    }
  }
  canvas.dataset.drawn = "spectrogram";
}

/** The discrete Fourier transform in place, for a power of two. @param {Float32Array} re @param {Float32Array} im */
export function fft(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i += 1) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j] ?? 0, re[i] ?? 0];
      [im[i], im[j]] = [im[j] ?? 0, im[i] ?? 0];
    }
  }
  for (let size = 2; size <= n; size <<= 1) {
    const half = size >> 1;
    for (let k = 0; k < half; k += 1) {
      const angle = (-2 * Math.PI * k) / size;
      const [c, s] = [Math.cos(angle), Math.sin(angle)];
      for (let a = k; a < n; a += size) {
        const b = a + half;
        const [rb, ib] = [re[b] ?? 0, im[b] ?? 0];
        const [tr, ti] = [rb * c - ib * s, rb * s + ib * c];
        const [ra, ia] = [re[a] ?? 0, im[a] ?? 0];
        re[b] = ra - tr;
        im[b] = ia - ti;
        re[a] = ra + tr;
        im[a] = ia + ti;
      }
    }
  }
}

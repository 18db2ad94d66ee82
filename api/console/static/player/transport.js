// One clock: which sample is heard at which time of the audio context.
//
// What is heard is a chain of spans. A span begins at an exact frame of the context and at an exact sample of the
// sound, and the next begins where it ends: at the end of a loop, or of a piece of a long song. Play, seek, speed
// and loop end the chain and begin a new one; between them nothing is computed, so no error can add up.
// At another speed the pitch is that of a tape, or it is kept: then a span is made of grains (stretch.js).
import { HOP, Stretch } from "./stretch.js";

/**
 * @typedef {object} Span
 * @property {number} time when it begins, s of the context
 * @property {number} until when it ends
 * @property {number} from sample of the sound that it begins with
 * @property {number} to sample of the sound that it ends before
 * @property {number} speed
 * @property {{stop: (time: number) => void}} node what is heard
 */
/**
 * @typedef {object} Sound what can be played: a whole song, or one that is loaded in pieces
 * @property {number} length samples
 * @property {number} sampleRate
 * @property {(sample: number) => {start: number, end: number}} pieceAt bounds of the piece that holds a sample
 * @property {(start: number) => AudioBuffer | null} loaded the piece, if it is here
 * @property {(start: number) => Promise<AudioBuffer>} load
 */

/** Between the call and the sound, s: the graph's next block must still lie ahead. */
const LEAD_S = 0.012;
/** How far ahead spans are made, s; timers of hidden tabs come once a second. */
const AHEAD_S = 4;
/** Longest span of grains as it is heard, frames. */
const GRAINS = 20 * HOP;

export class Transport {
  /**
   * @param {BaseAudioContext} context
   * @param {AudioNode} output
   * @param {Sound} sound
   */
  constructor(context, output, sound) {
    this.context = context;
    this.output = output;
    this.sound = sound;
    this.speed = 1;
    this.keepsPitch = true;
    this.stretch = new Stretch(context, output, sound);
    /** Samples, both ends; null for none. @type {{from: number, to: number} | null} */
    this.loop = null;
    /** Where playing goes on while it is stopped, samples. */
    this.at = 0;
    this.isPlaying = false;
    /** @type {Span[]} */
    this.spans = [];
    /** Called when the sound has ended. @type {() => void} */
    this.onEnd = () => {};
    /** Called when a piece is not here in time, and when it is. @type {(isWaiting: boolean) => void} */
    this.onWait = () => {};
    /** Called when a piece cannot be loaded. @type {(error: unknown) => void} */
    this.onError = () => {};
    this.chain = 0;
    this.isWaiting = false;
  }

  /** Sample that is heard now; it may lie between two. */
  get position() {
    return this.isPlaying ? this.positionAt(this.context.currentTime) : this.at;
  }

  /** Sample that is heard at a time of the context. @param {number} time */
  positionAt(time) {
    const { sampleRate } = this.sound;
    let span = this.spans[0];
    for (const each of this.spans) if (each.time <= time) span = each;
    if (!span) return this.at;
    if (time < span.time) return span.from;
    return Math.min(span.to, span.from + (time - span.time) * sampleRate * span.speed);
  }

  play() {
    if (this.isPlaying) return;
    if (this.at >= this.sound.length) this.at = this.loop?.from ?? 0;
    this.isPlaying = true;
    this.begin(this.at);
  }

  pause() {
    if (!this.isPlaying) return;
    this.at = Math.round(this.position);
    this.isPlaying = false;
    this.end(this.context.currentTime);
  }

  /** @param {number} sample */
  seek(sample) {
    const to = Math.max(0, Math.min(Math.round(sample), this.sound.length));
    if (this.isPlaying) this.begin(to);
    else this.at = to;
  }

  /** @param {number} speed */
  setSpeed(speed) {
    if (this.isPlaying) this.changeAtNext(() => (this.speed = speed));
    else this.speed = speed;
  }

  /** @param {boolean} keepsPitch */
  setKeepsPitch(keepsPitch) {
    if (this.isPlaying) this.changeAtNext(() => (this.keepsPitch = keepsPitch));
    else this.keepsPitch = keepsPitch;
  }

  /** @param {{from: number, to: number} | null} loop */
  setLoop(loop) {
    const isUsable = loop && loop.to - loop.from >= this.sound.sampleRate / 20;
    const bounded = isUsable ? { from: Math.max(0, Math.round(loop.from)), to: Math.min(this.sound.length, Math.round(loop.to)) } : null;
    if (this.isPlaying) this.changeAtNext(() => (this.loop = bounded));
    else this.loop = bounded;
  }

  /** Change something and go on from where the sound is then. @param {() => void} change */
  changeAtNext(change) {
    const time = this.nextFrame();
    const from = Math.round(this.positionAt(time));
    change();
    this.begin(from, time);
  }

  /** Begin a new chain of spans. @param {number} from sample @param {number} [time] of the context */
  begin(from, time = this.nextFrame()) {
    this.end(time);
    this.stretch.reset();
    this.chain += 1;
    this.isWaiting = false;
    this.fill({ from, time });
  }

  /** Let what plays end. @param {number} time */
  end(time) {
    for (const span of this.spans) span.node.stop(Math.max(time, 0));
    this.spans = [];
  }

  /** The first frame that can still be reached, as a time that is exact. */
  nextFrame() {
    const { sampleRate, currentTime } = this.context;
    return Math.ceil((currentTime + LEAD_S) * sampleRate) / sampleRate;
  }

  /**
   * Make spans until there are enough of them; to be called a few times a second.
   * @param {{from: number, time: number} | null} [start]
   * @param {number} [until] time of the context
   */
  fill(start = null, until = this.context.currentTime + AHEAD_S) {
    if (!this.isPlaying || (this.isWaiting && !start)) return;
    this.forget();
    let next = start ?? this.following();
    // Timers of a hidden tab may have come too late: what was not heard then is heard now.
    if (next && !start) next.time = Math.max(next.time, this.nextFrame());
    while (next && next.time < until) {
      const span = this.span(next.from, next.time);
      if (!span) break;
      this.spans.push(span);
      next = this.following();
    }
    const last = this.spans.at(-1);
    if (!next && last && this.context.currentTime >= last.until) {
      this.isPlaying = false;
      this.at = this.sound.length;
      this.end(last.until);
      this.onEnd();
    }
  }

  /** Where the last span goes on; null at the end of the sound. */
  following() {
    const last = this.spans.at(-1);
    if (!last) return null;
    if (this.loop && last.to === this.loop.to) return { from: this.loop.from, time: last.until };
    return last.to < this.sound.length ? { from: last.to, time: last.until } : null;
  }

  /** Forget spans that have ended, except the last. */
  forget() {
    const now = this.context.currentTime - 0.5;
    while (this.spans.length > 1 && (this.spans[0]?.until ?? now) < now) this.spans.shift();
  }

  /** @param {number} from @param {number} time @returns {Span | null} */
  span(from, time) {
    const { sound, speed, loop } = this;
    if (speed !== 1 && this.keepsPitch) return this.stretched(from, time);
    const { start, end } = sound.pieceAt(from);
    const to = loop && from < loop.to ? Math.min(end, loop.to) : end;
    const { sampleRate } = this.context;
    const frames = Math.round(((to - from) / sound.sampleRate / speed) * sampleRate);
    const buffer = sound.loaded(start);
    if (end < sound.length) sound.load(end).catch(() => 0); // the next piece
    if (!buffer) {
      this.wait(start, from);
      return null;
    }
    const node = new AudioBufferSourceNode(this.context, { buffer, playbackRate: speed });
    node.connect(this.output);
    node.start(time, (from - start) / sound.sampleRate, (to - from) / sound.sampleRate);
    return { time, until: time + frames / sampleRate, from, to, speed, node };
  }

  /** A span at another speed with the same pitch. @param {number} from @param {number} time @returns {Span | null} */
  stretched(from, time) {
    const { sound, speed, loop } = this;
    const { sampleRate } = this.context;
    const isInLoop = loop && from < loop.to;
    const limit = isInLoop ? loop.to : sound.length;
    const step = (speed * sound.sampleRate) / sampleRate;
    // What is left behind a span is long enough for grains of its own.
    const isLast = limit - from <= GRAINS * 1.5 * step;
    const to = isLast ? limit : Math.round(from + GRAINS * step);
    const frames = Math.round((to - from) / step);
    const pieces = [sound.pieceAt(from), sound.pieceAt(to - 1)];
    const missing = pieces.find(({ start }) => !sound.loaded(start));
    if (missing) {
      this.wait(missing.start, from);
      return null;
    }
    const end = pieces[1]?.end ?? sound.length;
    if (end < sound.length) sound.load(end).catch(() => 0);
    const node = this.stretch.grains(from, time, frames, step, isLast);
    if (isLast) this.stretch.reset();
    return { time, until: time + frames / sampleRate, from, to, speed, node };
  }

  /** Go on at a sample as soon as its piece is here. @param {number} piece @param {number} from */
  wait(piece, from) {
    const chain = this.chain;
    this.isWaiting = true;
    this.onWait(true);
    this.sound.load(piece).then(
      () => {
        if (chain !== this.chain || !this.isPlaying) return;
        this.isWaiting = false;
        this.onWait(false);
        const last = this.spans.at(-1);
        const time = Math.max(this.nextFrame(), last?.until ?? 0);
        this.fill({ from, time });
      },
      (error) => {
        if (chain !== this.chain) return;
        this.pause();
        this.onWait(false);
        this.onError(error);
      },
    );
  }
}

// The player without its page: tracks, settings, transport, and the mix as it is set.
import { CHANNELS, Graph } from "./graph.js";
import { inPieces, loadWhole, TooLong, fits, whole } from "./sound.js";
import { Transport } from "./transport.js";
import { inBits, wavFile } from "./wav.js";

/** @typedef {import("./graph.js").Settings} Settings */
/** @typedef {import("./transport.js").Sound} Sound */
/** @typedef {{urls: string[], mix: number, seconds: number, signal: AbortSignal, onProgress: (share: number) => void, renew?: () => Promise<string[]>}} What `urls` of all tracks, `mix` is the index of the mix or -1, `renew` returns new links */

/** Stems are separated at this rate; a context of the same rate changes no sample. */
export const SAMPLE_RATE = 44_100;
const FILL_MS = 250;

/** @param {number} count @param {number} mix index of the mix, or -1 @returns {Settings} */
export function newSettings(count, mix) {
  return {
    tracks: Array.from({ length: count }, () => ({ volume: 1, pan: 0, mute: false, solo: false })),
    heard: "stems",
    master: 1,
    mix,
  };
}

/** Settings with which something is heard, whatever has failed. @param {number} count @param {number} mix @param {Map<number, unknown>} failed */
function settingsFor(count, mix, failed) {
  const settings = newSettings(count, failed.has(mix) ? -1 : mix);
  if (settings.mix >= 0 && failed.size === count - 1) settings.heard = "mix";
  return settings;
}

export class Mixer {
  /**
   * @param {BaseAudioContext} context
   * @param {Sound} sound
   * @param {Settings} settings
   * @param {AudioBuffer | null} buffer the whole sound, where it is in memory
   * @param {Map<number, unknown>} [failed] says by index why a track is silent
   */
  constructor(context, sound, settings, buffer, failed = new Map()) {
    this.context = context;
    this.sound = sound;
    this.settings = settings;
    this.buffer = buffer;
    this.failed = failed;
    /** Called when a track fails, or can be played again. @type {() => void} */
    this.onTrouble = () => {};
    this.isClosed = false;
    this.graph = new Graph(context, settings.tracks.length);
    this.graph.output.connect(context.destination);
    this.graph.apply(settings, true);
    this.transport = new Transport(context, this.graph.input, sound);
    this.timer = context instanceof OfflineAudioContext ? undefined : setInterval(() => this.transport.fill(), FILL_MS);
  }

  /**
   * Load the tracks of a job: whole, or in pieces where they are too long for that.
   * @param {AudioContext} context
   * @param {What} what
   * @returns {Promise<Mixer>}
   */
  static async load(context, what) {
    const { urls, seconds } = what;
    if (fits(seconds, urls.length)) return Mixer.loadWhole(context, what);
    try {
      return await Mixer.loadPieces(context, what);
    } catch (error) {
      if (!(error instanceof TooLong) || !fits(seconds, urls.length, true)) throw error;
      return Mixer.loadWhole(context, what);
    }
  }

  /** @param {AudioContext} context @param {What} what @returns {Promise<Mixer>} */
  static async loadWhole(context, { urls, mix, signal, onProgress, renew }) {
    const { buffer, failed } = await loadWhole(context, urls, signal, onProgress, { renew });
    if (failed.size === urls.length) throw [...failed.values()].at(-1);
    return new Mixer(context, whole(buffer), settingsFor(urls.length, mix, failed), buffer, failed);
  }

  /** Stems in pieces, and the mix if it can be read so. @param {AudioContext} context @param {What} what @returns {Promise<Mixer>} */
  static async loadPieces(context, { urls, mix, seconds, signal, renew }) {
    /** @type {Mixer | undefined} */
    let mixer;
    const { sound, failed } = await inPieces(context, urls, { seconds, optional: mix, signal, renew, onTrouble: () => mixer?.onTrouble() });
    mixer = new Mixer(context, sound, settingsFor(urls.length, mix, failed), null, failed);
    return mixer;
  }

  /** Change settings and hear them. @param {(settings: Settings) => void} change */
  change(change) {
    change(this.settings);
    this.graph.apply(this.settings);
  }

  /** Render what is heard at the settings, at normal speed and without the loop. @returns {Promise<Blob>} a WAV file */
  async render() {
    const { sound } = this;
    const parts = [];
    for (let start = 0; start < sound.length && !this.isClosed; ) {
      const { end } = sound.pieceAt(start);
      const lacked = [...this.failed.values()];
      const buffer = await sound.load(start);
      // What is saved lacks nothing that was there when it was begun.
      for (const error of this.failed.values()) if (!lacked.includes(error)) throw error;
      parts.push(inBits(await this.rendered(buffer, end - start)));
      start = end;
    }
    const file = wavFile(parts, CHANNELS, sound.sampleRate);
    if (!file) throw new TooLong();
    return file;
  }

  /** @param {AudioBuffer} buffer of all tracks @param {number} length samples @returns {Promise<Float32Array[]>} */
  async rendered(buffer, length) {
    const context = new OfflineAudioContext(CHANNELS, length, buffer.sampleRate);
    const offline = new Mixer(context, whole(buffer), this.settings, buffer);
    const node = new AudioBufferSourceNode(context, { buffer });
    node.connect(offline.graph.input);
    node.start(0);
    const rendered = await context.startRendering();
    return [rendered.getChannelData(0), rendered.getChannelData(1)];
  }

  /** Return by how much the sum of the stems differs from the mix at most, dBFS; null without a mix. @returns {number | null} */
  nullTest() {
    const { buffer, settings } = this;
    if (!buffer || settings.mix < 0) return null;
    const stems = settings.tracks.map((_, index) => index).filter((index) => index !== settings.mix);
    let largest = 0;
    for (let channel = 0; channel < CHANNELS; channel += 1) {
      const mix = buffer.getChannelData(settings.mix * CHANNELS + channel);
      const parts = stems.map((index) => buffer.getChannelData(index * CHANNELS + channel));
      for (let i = 0; i < mix.length; i += 1) {
        let rest = -(mix[i] ?? 0);
        for (const part of parts) rest += part[i] ?? 0;
        const size = Math.abs(rest);
        if (size > largest) largest = size;
      }
    }
    return largest ? 20 * Math.log10(largest) : -200;
  }

  close() {
    this.isClosed = true;
    clearInterval(this.timer);
    this.transport.pause();
    this.graph.output.disconnect();
  }
}

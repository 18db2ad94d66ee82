// The way of the sound: one source with the channels of all tracks, and for each track its gain and its place.
// There is one source, so tracks cannot drift apart: a position is the position of all of them.

/**
 * @typedef {object} TrackSettings
 * @property {number} volume 0 to 2
 * @property {number} pan -1 to 1
 * @property {boolean} mute
 * @property {boolean} solo
 */
/** @typedef {"stems" | "mix"} Heard what is heard: the stems as they are set, or the mix as it was uploaded */
/** @typedef {{tracks: TrackSettings[], heard: Heard, master: number, mix: number}} Settings `mix` is the index of the mix, or -1 */

/** Time in which a gain changes without a click, s. */
const GLIDE_S = 0.004;
export const CHANNELS = 2;

/** How loud a track is. @param {Settings} settings @param {number} index */
export function gainOf(settings, index) {
  const track = settings.tracks[index];
  if (!track) return 0;
  if (settings.heard === "mix") return index === settings.mix ? 1 : 0;
  if (index === settings.mix) return 0;
  const hasSolo = settings.tracks.some((each, i) => each.solo && i !== settings.mix);
  if (hasSolo ? !track.solo : track.mute) return 0;
  return track.volume;
}

export class Graph {
  /**
   * @param {BaseAudioContext} context
   * @param {number} count how many tracks
   */
  constructor(context, count) {
    this.context = context;
    this.input = new ChannelSplitterNode(context, { numberOfOutputs: count * CHANNELS });
    this.output = new GainNode(context);
    this.tracks = Array.from({ length: count }, (_, index) => {
      const pair = new ChannelMergerNode(context, { numberOfInputs: CHANNELS });
      for (let channel = 0; channel < CHANNELS; channel += 1)
        this.input.connect(pair, index * CHANNELS + channel, channel);
      const gain = new GainNode(context, { gain: 0 });
      const pan = new StereoPannerNode(context);
      pair.connect(gain).connect(pan).connect(this.output);
      return { pair, gain, pan };
    });
  }

  /** Follow the settings. @param {Settings} settings @param {boolean} [atOnce] without gliding */
  apply(settings, atOnce = false) {
    const now = this.context.currentTime;
    this.tracks.forEach(({ gain, pan }, index) => {
      const isMix = settings.heard === "mix";
      change(gain.gain, gainOf(settings, index), now, atOnce);
      change(pan.pan, isMix ? 0 : (settings.tracks[index]?.pan ?? 0), now, atOnce);
    });
    change(this.output.gain, settings.master, now, atOnce);
  }

  /** Levels of the tracks as they are heard, for meters and tests. @param {number} index */
  tap(index) {
    return this.tracks[index]?.pair;
  }
}

/** @param {AudioParam} param @param {number} value @param {number} now @param {boolean} atOnce */
function change(param, value, now, atOnce) {
  param.cancelScheduledValues(now);
  if (atOnce) param.setValueAtTime(value, now);
  else {
    param.setValueAtTime(param.value, now);
    param.linearRampToValueAtTime(value, now + GLIDE_S);
  }
}

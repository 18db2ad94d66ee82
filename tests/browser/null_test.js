// Loads a job into the player's mixer; compares the sum of its stems, what it renders, and what it reads in pieces.
async (job) => {
  const { Mixer } = await import("/console/static/player/mixer.js");
  const { inPieces } = await import("/console/static/player/sound.js");
  const { readWavHeader, samplesOf } = await import("/console/static/player/wav.js");
  const { Api } = await import("/console/static/api.js");
  const { kept } = await import("/console/static/session.js");
  const more = await new Api(kept()).call("GET", `/console/jobs/${job}`);
  const context = new AudioContext({ sampleRate: 44_100 });
  const urls = [more.Source.Url, ...more.Stem.map((stem) => stem.Url)];
  const { signal } = new AbortController();
  const mixer = await Mixer.load(context, { urls, mix: 0, seconds: 5, signal, onProgress: () => 0 });
  const bytes = await (await mixer.render()).arrayBuffer();
  const [left] = samplesOf(readWavHeader(bytes), bytes.slice(44));
  const mix = mixer.buffer.getChannelData(0);
  let rendered = 0;
  for (let i = 0; i < mix.length; i += 1) rendered = Math.max(rendered, Math.abs(left[i] - mix[i]));
  // The same sound as it is read in pieces, with requests for ranges.
  const { sound } = await inPieces(context, urls, { seconds: 5 });
  const piece = await sound.load(0);
  let apart = Math.abs(sound.length - mixer.buffer.length);
  for (let channel = 0; channel < piece.numberOfChannels; channel += 1) {
    const whole = mixer.buffer.getChannelData(channel);
    whole.forEach((value, i) => {
      apart = Math.max(apart, Math.abs(value - piece.getChannelData(channel)[i]));
    });
  }
  await context.close();
  return { db: mixer.nullTest(), rendered: 20 * Math.log10(rendered + 1e-12), failed: [...mixer.failed.keys()], apart, length: mix.length };
}

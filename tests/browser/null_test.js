// Loads a job into the player's mixer, and compares the sum of its stems and what it renders with the mix.
async (job) => {
  const { Mixer } = await import("/console/static/player/mixer.js");
  const { readWavHeader, samplesOf } = await import("/console/static/player/wav.js");
  const { Api } = await import("/console/static/api.js");
  const { kept } = await import("/console/static/session.js");
  const more = await new Api(kept()).call("GET", `/console/jobs/${job}`);
  const context = new AudioContext({ sampleRate: 44_100 });
  const urls = [more.Source.Url, ...more.Stem.map((stem) => stem.Url)];
  const { signal } = new AbortController();
  const { mixer, failed } = await Mixer.load(context, { urls, mix: 0, seconds: 5, signal, onProgress: () => 0 });
  const bytes = await (await mixer.render()).arrayBuffer();
  const [left] = samplesOf(readWavHeader(bytes), bytes.slice(44));
  const mix = mixer.buffer.getChannelData(0);
  let rendered = 0;
  for (let i = 0; i < mix.length; i += 1) rendered = Math.max(rendered, Math.abs(left[i] - mix[i]));
  await context.close();
  return { db: mixer.nullTest(), rendered: 20 * Math.log10(rendered + 1e-12), failed, length: mix.length };
}

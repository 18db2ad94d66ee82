// Compares files that the player reads in pieces with the same files decoded as a whole; evaluated in the console's page.
async ({ urls, seconds, isPlayed }) => {
  const { inPieces } = await import("/console/static/player/sound.js");
  const context = new AudioContext({ sampleRate: 44_100 });
  const { sound, failed } = await inPieces(context, urls, { seconds });
  const missing = [...failed.keys()];
  const apart = [];
  for (const [index, url] of urls.entries()) {
    const whole = await context.decodeAudioData(await (await fetch(url)).arrayBuffer());
    let most = 0;
    // Not in their order, as after a seek.
    for (const second of [25, 0, seconds - 1]) {
      const { start, end } = sound.pieceAt(second * 44_100);
      const piece = await sound.load(start);
      for (let channel = 0; channel < whole.numberOfChannels; channel += 1) {
        const expected = whole.getChannelData(channel);
        const found = piece.getChannelData(index * 2 + channel);
        for (let i = start; i < Math.min(end, whole.length); i += 1)
          most = Math.max(most, Math.abs(found[i - start] - expected[i]));
      }
    }
    apart.push(most);
  }
  if (!isPlayed) return { missing, apart, length: sound.length };
  // What is saved of a song in pieces is what is heard of the whole.
  const { Mixer, newSettings } = await import("/console/static/player/mixer.js");
  const { readWavHeader, samplesOf } = await import("/console/static/player/wav.js");
  const mixer = new Mixer(context, sound, newSettings(urls.length, -1), null);
  mixer.change((settings) => settings.tracks.forEach((track) => (track.volume = 0.25)));
  const bytes = await (await mixer.render()).arrayBuffer();
  const [left] = samplesOf(readWavHeader(bytes), bytes.slice(44));
  let saved = Math.abs(left.length - sound.length);
  for (const start of [0, 20, 40]) {
    const piece = await sound.load(start * 44_100);
    for (let i = 0; i < 4 * 44_100; i += 1) {
      const heard = urls.reduce((sum, _, index) => sum + piece.getChannelData(index * 2)[i] / 4, 0);
      saved = Math.max(saved, Math.abs(left[start * 44_100 + i] - heard));
    }
  }
  mixer.close();
  // A song that says to be an hour long is played in pieces, also at another speed from one into the next.
  const { signal } = new AbortController();
  const long = await Mixer.load(context, { urls, mix: 0, seconds: 3600, signal, onProgress: () => 0 });
  const ear = new AnalyserNode(context);
  long.graph.output.connect(ear);
  await context.resume();
  long.transport.setSpeed(0.5);
  long.transport.seek(19.8 * 44_100);
  long.transport.play();
  const samples = new Float32Array(ear.fftSize);
  let heard = 0;
  for (let i = 0; i < 1200 && heard < 0.05; i += 1) {
    await new Promise((done) => setTimeout(done, 50));
    ear.getFloatTimeDomainData(samples);
    if (long.transport.position > 20.2 * 44_100) heard = Math.max(heard, ...samples);
  }
  const hasPieces = long.buffer === null;
  long.close();
  await context.close();
  return { hasPieces, failed: [...long.failed.keys()], heard, missing, apart, saved, length: sound.length };
}

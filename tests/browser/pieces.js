// Compares files that the player reads in pieces with the same files decoded as a whole; evaluated in the console's page.
async ({ urls, seconds }) => {
  const { inPieces } = await import("/console/static/player/sound.js");
  const context = new AudioContext({ sampleRate: 44_100 });
  const { sound, missing } = await inPieces(context, urls, { seconds });
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
  await context.close();
  return { missing, apart, saved, length: sound.length };
}

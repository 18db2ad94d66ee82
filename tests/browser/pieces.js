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
  await context.close();
  return { missing, apart, length: sound.length };
}

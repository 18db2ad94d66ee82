// Random operations on a player whose tracks say where they are from; evaluated in the console's page.
// Samples of each track are their own numbers, and taps behind the splitter hear each track before its gain.
async ({ operations, isLive, keepsPitch }) => {
const RATE = 44_100;
const COUNT = 5;
const SECONDS = 20;
const { Mixer, newSettings } = await import("/console/static/player/mixer.js");
const { sideBySide, whole } = await import("/console/static/player/sound.js");

function ramps(context) {
  const tracks = Array.from({ length: COUNT }, () => {
    const buffer = context.createBuffer(2, SECONDS * RATE, RATE);
    for (const channel of [0, 1]) {
      const data = buffer.getChannelData(channel);
      for (let i = 0; i < data.length; i += 1) data[i] = i + 1;
    }
    return buffer;
  });
  const buffer = sideBySide(context, tracks);
  const mixer = new Mixer(context, whole(buffer), newSettings(COUNT, -1), buffer);
  mixer.transport.setKeepsPitch(keepsPitch);
  const taps = new ChannelMergerNode(context, { numberOfInputs: COUNT });
  for (let i = 0; i < COUNT; i += 1) {
    const split = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
    mixer.graph.tap(i).connect(split);
    split.connect(taps, 0, i);
  }
  mixer.graph.output.disconnect();
  return { mixer, taps };
}

function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

function operate(mixer, next) {
  const { transport } = mixer;
  const length = SECONDS * RATE;
  const track = mixer.settings.tracks[Math.floor(next() * COUNT)];
  const loop = next() < 0.5 ? null : { from: next() * length * 0.4, to: length * (0.5 + next() * 0.5) };
  const operations = [
    () => mixer.change(() => (track.mute = !track.mute)),
    () => mixer.change(() => (track.solo = !track.solo)),
    () => mixer.change(() => (track.volume = next() * 1.5)),
    () => mixer.change(() => (track.pan = next() * 2 - 1)),
    () => transport.seek(next() * length * 0.9),
    () => transport.setLoop(loop),
    () => transport.setSpeed([0.5, 0.75, 1, 1.25, 1.5, 2][Math.floor(next() * 6)]),
    () => (transport.isPlaying ? transport.pause() : transport.play()),
  ];
  operations[Math.floor(next() * operations.length)]();
  if (next() < 0.5) transport.play();
}

/** Largest difference between tracks at the same time. */
function apartIn(tracks) {
  let apart = 0;
  for (let i = 0; i < tracks[0].length; i += 1)
    for (let track = 1; track < COUNT; track += 1) apart = Math.max(apart, Math.abs(tracks[track][i] - tracks[0][i]));
  return apart;
}

async function offline() {
  const STEP = 0.25;
  const context = new OfflineAudioContext(COUNT, Math.ceil((operations * STEP + 1) * RATE), RATE);
  const { mixer, taps } = ramps(context);
  taps.connect(context.destination);
  const next = random(5);
  const readings = [];
  for (let i = 0; i < operations; i += 1) {
    context.suspend(i * STEP + STEP).then(() => {
      const { transport } = mixer;
      // What the clock says of the span that ends here, before it is changed.
      for (const back of [0.01, 0.03, 0.1]) {
        const time = context.currentTime - back;
        readings.push([time, transport.isPlaying ? transport.positionAt(time) : -1]);
      }
      operate(mixer, next);
      transport.fill();
      context.resume();
    });
  }
  const heard = await context.startRendering();
  const tracks = Array.from({ length: COUNT }, (_, i) => heard.getChannelData(i));
  let wrong = 0;
  let compared = 0;
  for (const [time, position] of readings) {
    const value = tracks[0][Math.round(time * RATE)] - 1;
    if (position < 0 || value < 0 || position >= SECONDS * RATE) continue;
    compared += 1;
    wrong = Math.max(wrong, Math.abs(value - position));
  }
  return { apart: apartIn(tracks), wrong, compared };
}

async function live() {
  const context = new AudioContext({ sampleRate: RATE });
  const { mixer, taps } = ramps(context);
  const recorder = context.createScriptProcessor(1024, COUNT, 1);
  let apart = 0;
  let blocks = 0;
  let sounding = 0;
  recorder.onaudioprocess = ({ inputBuffer }) => {
    const tracks = Array.from({ length: COUNT }, (_, i) => inputBuffer.getChannelData(i));
    blocks += 1;
    sounding += tracks[0].filter((value) => value).length;
    apart = Math.max(apart, apartIn(tracks));
  };
  taps.connect(recorder).connect(context.destination);
  await context.resume();
  const next = random(11);
  for (let i = 0; i < operations; i += 1) {
    operate(mixer, next);
    await new Promise((done) => setTimeout(done, next() * 30));
  }
  mixer.transport.play();
  for (let i = 0; sounding < 1000 && i < 300; i += 1) await new Promise((done) => setTimeout(done, 100));
  mixer.close();
  await context.close();
  return { apart, blocks, sounding };
}

return isLive ? live() : offline();
}

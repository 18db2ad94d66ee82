// The player of a job: mix and stems under one transport.
import { pause, sentence } from "../api.js";
import { clock, size } from "../format.js";
import { t } from "../text.js";
import { SoundStyles } from "../parts.js";
import { html, Problem, useAction, useColours, useLoad, usePage } from "../ui.js";
import { useEffect, useRef, useState } from "../vendor/hooks.js";
import { gainOf } from "./graph.js";
import { useTracks } from "./links.js";
import { Mixer, SAMPLE_RATE } from "./mixer.js";
import { nameOf, Saves } from "./saves.js";
import { Unplayable } from "./sound.js";
import { drawPeaks, drawSpectrogram, peaksOfBuffer, peaksOfPairs } from "./waveform.js";

/** @typedef {Record<string, any>} Tree */
/** @typedef {import("./waveform.js").Peaks} Peaks */
/** @typedef {import("./links.js").Track} Track */

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2];
const SKIP_S = 5;
/** How long a context that begins may take to run before the page says that it does not, ms. */
const BEGINS_MS = 500;

/** @param {{more: Tree}} props what the service says of the job */
export default function Player({ more }) {
  const { api } = usePage();
  const job = more.Job;
  const { tracks, renew } = useTracks(more);
  const { value: drawn } = useLoad(async (signal) => {
    const answer = await api.call("GET", `/jobs/${job.JobId}/waveform`, { signal });
    /** @type {Record<string, Peaks>} */
    const peaks = {};
    for (const wave of answer.Waveform ?? []) peaks[wave.Name] = peaksOfPairs(wave.Pairs, Number(wave.SamplesPerPair), Number(answer.Samplerate));
    return peaks;
  }, [job.JobId]);
  const [mixer, setMixer] = useState(/** @type {Mixer | null} */ (null));
  const [share, setShare] = useState(0);
  const [isWaiting, setWaiting] = useState(false);
  const [trouble, setTrouble] = useState(/** @type {unknown} */ (null));
  const [, redraw] = useState(0);
  const loading = useAction();
  const saving = useAction();
  const stop = useRef(new AbortController());
  const player = useRef(/** @type {HTMLElement | null} */ (null));
  const seconds = mixer ? mixer.sound.length / SAMPLE_RATE : (drawn?.Mix?.seconds ?? Number(job.Duration ?? 0));

  useEffect(() => () => stop.current.abort(), []);
  useEffect(() => () => {
    mixer?.close();
    if (mixer?.context instanceof AudioContext) mixer.context.close();
  }, [mixer]);

  /** Load the sound; browsers want a click before they play. What was set before stays. */
  const load = () => loading.run(async () => {
    const context = new AudioContext({ sampleRate: SAMPLE_RATE });
    const redrawn = () => redraw((before) => before + 1);
    try {
      const urls = async () => (await renew()).map(({ url }) => url);
      const made = await Mixer.load(context, { urls: tracks.map(({ url }) => url), mix: 0, seconds, signal: stop.current.signal, onProgress: setShare, renew: urls });
      const { transport } = made;
      Object.assign(transport, { onEnd: redrawn, onWait: setWaiting, onError: setTrouble });
      made.onTrouble = redrawn;
      context.onstatechange = redrawn;
      if (mixer) {
        made.change((settings) => Object.assign(settings, { tracks: mixer.settings.tracks, master: mixer.settings.master }));
        transport.seek(mixer.transport.position);
      }
      // A browser may hold the sound back for ever.
      await Promise.race([context.resume(), pause(BEGINS_MS)]);
      transport.play();
      setMixer(made);
    } catch (error) {
      await context.close();
      throw error;
    }
  });
  const isHeld = Boolean(mixer?.transport.isPlaying) && mixer?.context.state !== "running";
  const isSounding = Boolean(mixer?.transport.isPlaying) && !isHeld;
  const toggle = () => {
    setTrouble(null);
    if (!mixer) {
      if (!loading.busy) load();
      return;
    }
    if (mixer.context instanceof AudioContext) mixer.context.resume();
    if (isSounding) mixer.transport.pause();
    else mixer.transport.play();
    redraw((before) => before + 1);
  };
  /** @param {(settings: import("./graph.js").Settings) => void} change */
  const set = (change) => {
    mixer?.change(change);
    redraw((before) => before + 1);
  };
  /** @param {number} by s */
  const skip = (by) => mixer?.transport.seek(mixer.transport.position + by * SAMPLE_RATE);
  const loopHere = () => {
    if (!mixer) return;
    const { transport } = mixer;
    transport.setLoop(transport.loop ? null : { from: transport.position, to: Math.min(transport.position + 8 * SAMPLE_RATE, mixer.sound.length) });
    redraw((before) => before + 1);
  };
  /** @param {KeyboardEvent} event */
  const onKey = (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || (target.matches("input, select, textarea, button, a, summary") && event.key === " ")) return;
    if (target.matches("input, select, textarea") && event.key.startsWith("Arrow")) return;
    if (target.matches("textarea, input:not([type=range]):not([type=checkbox])")) return;
    const number = Number(event.key);
    if (event.key === " ") toggle();
    else if (!mixer) return;
    else if (event.key === "ArrowLeft") skip(-SKIP_S);
    else if (event.key === "ArrowRight") skip(SKIP_S);
    else if (event.key === "Home") mixer.transport.seek(0);
    else if (event.key.toLowerCase() === "m") set((settings) => {
      settings.master = settings.master ? 0 : 1;
    });
    else if (event.key.toLowerCase() === "l") loopHere();
    else if (event.key.toLowerCase() === "a") set((settings) => {
      if (settings.mix >= 0) settings.heard = settings.heard === "mix" ? "stems" : "mix";
    });
    else if (number >= 1 && number < tracks.length) set((settings) => {
      const track = settings.tracks[number];
      if (track) track.solo = !track.solo;
    });
    else return;
    event.preventDefault();
  };
  useEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });

  const settings = mixer?.settings;
  return html`<${SoundStyles} /><section class="card player" ref=${player} aria-labelledby="player" data-loaded=${Boolean(mixer)}>
    <div class="bar"><h2 id="player">${t("player.title")}</h2><${Saves} ...${{ tracks, renew, mixer, saving }} /></div>
    <div class="transport">
      <button type="button" class="primary" aria-disabled=${loading.busy} onClick=${toggle} aria-label=${t(isSounding ? "player.pause" : "player.play")}>${isSounding ? "❚❚" : "▶"}</button>
      <${Clock} mixer=${mixer} seconds=${seconds} />
      <button type="button" disabled=${!mixer} aria-pressed=${Boolean(mixer?.transport.loop)} onClick=${loopHere} title=${t("player.loopHint")}>${t("player.loop")}</button>
      <label>${t("player.speed")} <select disabled=${!mixer} value=${String(mixer?.transport.speed ?? 1)} onChange=${(/** @type {any} */ event) => mixer?.transport.setSpeed(Number(event.target.value))}>
        ${SPEEDS.map((speed) => html`<option key=${speed} value=${String(speed)}>× ${speed}</option>`)}</select></label>
      <label><input type="checkbox" disabled=${!mixer} checked=${mixer?.transport.keepsPitch ?? true} onChange=${(/** @type {any} */ event) => mixer?.transport.setKeepsPitch(event.target.checked)} /> ${t("player.pitch")}</label>
      ${mixer && (settings?.mix ?? -1) >= 0 && html`<div class="buttons" role="group" aria-label=${t("player.heard")}>
        <button type="button" aria-pressed=${settings?.heard === "mix"} onClick=${() => set((all) => (all.heard = "mix"))}>A ${t("player.mix")}</button>
        <button type="button" aria-pressed=${settings?.heard === "stems"} onClick=${() => set((all) => (all.heard = "stems"))}>B ${t("player.stems")}</button></div>`}
      <label>${t("player.volume")} <input type="range" min="0" max="1.5" step="0.01" disabled=${!mixer} value=${settings?.master ?? 1} onInput=${(/** @type {any} */ event) => set((all) => (all.master = Number(event.target.value)))} /></label>
      ${isWaiting && html`<span class="soft">${t("player.waits")}</span>`}
    </div>
    ${loading.busy && html`<p><progress max="1" value=${share} aria-label=${t("player.loading")}></progress><small class="soft">${t("player.loading")}</small></p>`}
    <${Problem} error=${loading.error ?? saving.error ?? trouble} />
    ${isHeld && html`<p class="soft" role="status">${t("player.held")}</p>`}
    ${mixer && mixer.failed.size > 0 && html`<${Missing} tracks=${tracks} mixer=${mixer} onLoad=${load} busy=${loading.busy} />`}
    ${tracks.map((track, index) => html`<${TrackView} key=${track.name} track=${track} index=${index} mixer=${mixer} peaks=${drawn?.[track.name]} seconds=${seconds} set=${set} isMissing=${Boolean(mixer?.failed.has(index))} />`)}
    <p class="soft small">${t("player.keys", { n: tracks.length - 1 })}</p>
  </section>`;
}

/** Which tracks are not heard, why, and what is heard instead. @param {{tracks: Track[], mixer: Mixer, onLoad: () => void, busy: boolean}} props */
function Missing({ tracks, mixer, onLoad, busy }) {
  const { failed, settings } = mixer;
  const isAgain = [...failed.values()].some((error) => !(error instanceof Unplayable));
  return html`<div role="status">
    ${[...failed].sort(([a], [b]) => a - b).map(([index, error]) => html`<p class="problem" key=${index}><span>${t("player.failed", { name: nameOf(tracks[index]) })} ${sentence(error)}</span></p>`)}
    ${failed.has(0) && html`<p class="soft">${t("player.noMix")}</p>`}
    ${settings.mix >= 0 && failed.size === tracks.length - 1 && html`<p class="soft">${t("player.noStems")}</p>`}
    ${isAgain && html`<div class="buttons"><button type="button" class="small" aria-disabled=${busy} onClick=${onLoad}>${t("player.reload")}</button></div>`}
  </div>`;
}

/** Position and length. @param {{mixer: Mixer | null, seconds: number}} props */
function Clock({ mixer, seconds }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  useFrames(() => {
    const text = `${clock((mixer?.transport.position ?? 0) / SAMPLE_RATE)} / ${clock(seconds)}`;
    if (element.current && element.current.textContent !== text) element.current.textContent = text;
  }, [mixer, seconds]);
  return html`<span class="clock" ref=${element} role="timer" aria-live="off" aria-label=${t("player.position")}></span>`;
}

/** Call back before each frame that is drawn. @param {() => void} draw @param {unknown[]} keys */
function useFrames(draw, keys) {
  useEffect(() => {
    let frame = 0;
    const next = () => {
      draw();
      frame = requestAnimationFrame(next);
    };
    next();
    return () => cancelAnimationFrame(frame);
  }, keys);
}

/**
 * @param {{track: Track, index: number, mixer: Mixer | null, peaks?: Peaks, seconds: number, isMissing: boolean, set: (change: (settings: import("./graph.js").Settings) => void) => void}} props
 */
function TrackView({ track, index, mixer, peaks, seconds, isMissing, set }) {
  const title = nameOf(track);
  const settings = mixer?.settings.tracks[index];
  const isMix = index === 0;
  const isHeard = mixer ? gainOf(mixer.settings, index) > 0 && !isMissing : true;
  /** @param {(one: import("./graph.js").TrackSettings) => void} change */
  const one = (change) => set((all) => {
    const own = all.tracks[index];
    if (own) change(own);
  });
  return html`<div class="track ${isHeard ? "" : "silent"}" role="group" aria-label=${title} data-track=${track.name}>
    <div>
      <div class="title">${title}${!isMix && html` <kbd title=${t("player.solo", { name: title })}>${index}</kbd>`}${track.size > 0 && html` <span class="soft small">${size(track.size)}</span>`}</div>
      ${!isMix && html`<div class="knobs">
        <button type="button" class="small" disabled=${!mixer} aria-pressed=${Boolean(settings?.mute)} aria-label=${t("player.mute", { name: title })} onClick=${() => one((own) => (own.mute = !own.mute))}>M</button>
        <button type="button" class="small" disabled=${!mixer} aria-pressed=${Boolean(settings?.solo)} aria-label=${t("player.solo", { name: title })} onClick=${() => one((own) => (own.solo = !own.solo))}>S</button>
        <label><span aria-hidden="true">${t("player.volume")}</span> <input type="range" min="0" max="1.5" step="0.01" disabled=${!mixer} value=${settings?.volume ?? 1} aria-label=${t("player.volumeOf", { name: title })} title=${t("player.volumeOf", { name: title })} onInput=${(/** @type {any} */ event) => one((own) => (own.volume = Number(event.target.value)))} /></label>
        <label><span aria-hidden="true">${t("player.left")}</span><input type="range" min="-1" max="1" step="0.05" disabled=${!mixer} value=${settings?.pan ?? 0} aria-label=${t("player.panOf", { name: title })} title=${t("player.panOf", { name: title })} onInput=${(/** @type {any} */ event) => one((own) => (own.pan = Number(event.target.value)))} onDblClick=${() => one((own) => (own.pan = 0))} /><span aria-hidden="true">${t("player.right")}</span></label>
      </div>`}
    </div>
    <${Wave} title=${title} index=${index} mixer=${isMissing ? null : mixer} transport=${mixer?.transport ?? null} peaks=${peaks} seconds=${seconds} />
  </div>`;
}

/** The picture of a track: a click seeks, a drag loops. @param {{title: string, index: number, mixer: Mixer | null, transport: import("./transport.js").Transport | null, peaks?: Peaks, seconds: number}} props */
function Wave({ title, index, mixer, transport, peaks, seconds }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const needle = useRef(/** @type {HTMLElement | null} */ (null));
  const band = useRef(/** @type {HTMLElement | null} */ (null));
  const drag = useRef(/** @type {number | null} */ (null));
  const [isSpectrum, setSpectrum] = useState(false);
  const buffer = mixer?.buffer ?? null;
  const colours = useColours();
  useEffect(() => {
    const target = canvas.current;
    if (!target) return;
    const stop = new AbortController();
    const draw = () => {
      const found = peaks ?? (buffer ? peaksOfBuffer(buffer, index * 2) : null);
      if (isSpectrum && buffer) drawSpectrogram(target, buffer, index * 2, stop.signal);
      else if (found) drawPeaks(target, found, seconds);
    };
    const watch = new ResizeObserver(draw);
    watch.observe(target);
    return () => {
      stop.abort();
      watch.disconnect();
    };
  }, [peaks, buffer, isSpectrum, seconds, index, colours]);
  useFrames(() => {
    const total = seconds * SAMPLE_RATE || 1;
    if (needle.current) needle.current.style.left = `${((transport?.position ?? 0) / total) * 100}%`;
    const loop = transport?.loop;
    if (band.current) {
      band.current.style.display = loop ? "block" : "none";
      if (loop) Object.assign(band.current.style, { left: `${(loop.from / total) * 100}%`, width: `${((loop.to - loop.from) / total) * 100}%` });
    }
  }, [transport, seconds]);
  /** @param {PointerEvent} event */
  const sampleAt = (event) => {
    const box = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * seconds * SAMPLE_RATE;
  };
  /** @param {PointerEvent} event */
  const release = (event) => {
    if (drag.current === null || !transport) return;
    const [from, to] = [drag.current, sampleAt(event)].sort((a, b) => a - b);
    drag.current = null;
    if (from !== undefined && to !== undefined && to - from > SAMPLE_RATE / 4) {
      transport.setLoop({ from, to });
      transport.seek(from);
    } else if (to !== undefined) transport.seek(to);
  };
  return html`<div class="picture">
    <div class="wave ${isSpectrum ? "tall" : ""}" onPointerDown=${(/** @type {PointerEvent} */ event) => (drag.current = sampleAt(event))} onPointerUp=${release} onPointerLeave=${() => (drag.current = null)}>
      <canvas ref=${canvas} role="img" aria-label=${t(isSpectrum ? "player.spectrogramOf" : "player.waveOf", { name: title })}></canvas>
      <div class="loop" ref=${band}></div><div class="needle" ref=${needle}></div>
    </div>
    ${buffer && html`<button type="button" class="small" aria-pressed=${isSpectrum} aria-label=${t("player.spectrogramOf", { name: title })} onClick=${() => setSpectrum(!isSpectrum)}>${t("player.spectrogram")}</button>`}
  </div>`;
}

// What can be asked of a separation: stems, codec, names of the stems.

/** @typedef {Record<string, any>} Tree */

/** Stems of each mode, as the elements of `Output`, and how files of them are named. @type {Record<string, Record<string, string>>} */
export const MODES = {
  AudioAndBackground: { AuObject: "voice", Object: "background" },
  MusicMode: { AuObject: "voice", Object: "other", BassObject: "bass", DrumObject: "drums" },
  IsAudio: { AuObject: "voice" },
  IsBackground: { Object: "background" },
};
export const CODECS = ["mp3", "wav", "flac", "aac", "amr"];
/** Codecs that can hold four stems. */
export const MUSIC_CODECS = ["mp3", "wav", "aac"];
export const PATTERN = "out/${jobid}/{stem}.${ext}";
export const BIT_DEPTHS = /** @type {Record<string, string[]>} */ ({ wav: ["16", "24", "32"], flac: ["16", "24"] });

/** Return the body of a template. @param {FormData} form @param {string} mode @returns {Tree} */
export function templateFor(form, mode) {
  const text = (/** @type {string} */ name) => String(form.get(name) ?? "").trim();
  const config = Object.fromEntries(["Codec", "Samplerate", "Bitrate", "Channels", "BitDepth"].map((name) => [name, text(name)]));
  return { Tag: "VoiceSeparate", Name: text("name"), AudioMode: mode, AudioConfig: given(config), ...given({ Model: text("model") }) };
}

/**
 * Return the request of a job.
 * @param {{key: string, mode: string, codec: string, bitDepth: string, template: string, level: string, pattern: string, userData: string, callback: string, bucket: string, region: string, audioTrack?: string, notBefore?: string, deadline?: string, timeout?: string, base?: Tree}} form `base` is the request that is changed
 * @returns {Tree}
 */
export function requestFor(form) {
  const name = form.key.slice(form.key.lastIndexOf("/") + 1).replace(/\.[^.]+$/, "");
  /** @type {Tree} */
  const output = { Region: form.region, Bucket: form.bucket };
  for (const [element, stem] of Object.entries(MODES[form.mode] ?? {}))
    output[element] = form.pattern.replaceAll("{stem}", stem).replaceAll("{name}", name);
  const { Operation: before, QueueId, Hop } = form.base ?? {};
  const separate = before?.VoiceSeparate ?? {};
  const { Samplerate, Bitrate, Channels } = separate.AudioConfig?.Codec === form.codec ? separate.AudioConfig : /** @type {Tree} */ ({});
  const model = separate.AudioMode === form.mode ? separate.Model : "";
  const config = { Codec: form.codec, ...given({ Samplerate, Bitrate, Channels }), ...(form.bitDepth && BIT_DEPTHS[form.codec] ? { BitDepth: form.bitDepth } : {}) };
  return {
    Tag: "VoiceSeparate",
    Input: { Object: form.key, ...(form.audioTrack ? { AudioTrack: form.audioTrack } : {}) },
    Operation: {
      ...(form.template ? { TemplateId: form.template } : { VoiceSeparate: { AudioMode: form.mode, AudioConfig: config, ...given({ Model: model }) } }),
      Output: output,
      ...(form.userData ? { UserData: form.userData } : {}),
      JobLevel: form.level,
    },
    ...callbackOf(form.callback, form.base ?? {}),
    ...given({ QueueId, Hop }),
    ...(form.notBefore ? { NotBefore: wireTime(form.notBefore) } : {}),
    ...(form.deadline ? { Deadline: wireTime(form.deadline) } : {}),
    ...(form.timeout ? { Timeout: form.timeout } : {}),
  };
}

/** The fields that have a value. @param {Tree} fields @returns {Tree} */
function given(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value));
}

/** Fields of a callback to a URL; without one a message queue that the request named stays. @param {string} url @param {Tree} base @returns {Tree} */
function callbackOf(url, { CallBackFormat, CallBackType, CallBackMqConfig }) {
  if (url) return { CallBack: url, CallBackFormat: CallBackFormat ?? "JSON", ...(CallBackType ? { CallBackType: "Url" } : {}) };
  return CallBackType === "TDMQ" ? given({ CallBackFormat, CallBackType, CallBackMqConfig }) : {};
}

/** A time of the user's own clock, such as 2026-03-01T10:20, as the wire writes it. @param {string} local */
function wireTime(local) {
  return new Date(local).toISOString().replace(/\.\d+Z$/, "Z");
}

/** A time of the wire as a field for the user's own clock has it; empty for none. @param {string | undefined} time */
export function localTime(time) {
  if (!time) return "";
  const at = new Date(milliseconds(time));
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** A time of the wire, such as 2026-03-01T10:20:30+0800, ms since the epoch. @param {string} time */
export function milliseconds(time) {
  return Date.parse(time.replace(/([+-]\d\d)(\d\d)$/, "$1:$2"));
}

/** Why a job could not start between two times; empty if it can. @param {string} notBefore @param {string} deadline local times, or empty @param {number} now ms */
export function timesProblem(notBefore, deadline, now) {
  if (deadline && Date.parse(deadline) <= now) return "new.deadlinePassed";
  if (deadline && notBefore && Date.parse(deadline) <= Date.parse(notBefore)) return "new.deadlineFirst";
  return "";
}

/** Why the service would refuse texts of a request; empty if it would not. @param {string} userData @param {string} callback */
export function textsProblem(userData, callback) {
  if (!/^[ -~]*$/.test(userData)) return "new.userDataAscii";
  if (callback && callback.toLowerCase() !== "no" && !/^https?:\/\/[^\s/?#]+\S*$/i.test(callback)) return "new.callbackUrl";
  return "";
}

/** Why a pattern cannot name the stems; empty if it can. @param {string} pattern @param {string} mode */
export function patternProblem(pattern, mode) {
  const several = Object.keys(MODES[mode] ?? {}).length > 1;
  if (several && !pattern.includes("{stem}")) return "new.patternStem";
  if (pattern.startsWith("/") || !pattern.trim()) return "new.patternEmpty";
  return "";
}

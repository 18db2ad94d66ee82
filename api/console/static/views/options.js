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

/**
 * Return the request of a job.
 * @param {{key: string, mode: string, codec: string, bitDepth: string, template: string, level: string, pattern: string, userData: string, callback: string, bucket: string, region: string, audioTrack?: string, notBefore?: string, deadline?: string, timeout?: string}} form
 * @returns {Tree}
 */
export function requestFor(form) {
  const name = form.key.slice(form.key.lastIndexOf("/") + 1).replace(/\.[^.]+$/, "");
  /** @type {Tree} */
  const output = { Region: form.region, Bucket: form.bucket };
  for (const [element, stem] of Object.entries(MODES[form.mode] ?? {}))
    output[element] = form.pattern.replaceAll("{stem}", stem).replaceAll("{name}", name);
  const config = { Codec: form.codec, ...(form.bitDepth && BIT_DEPTHS[form.codec] ? { BitDepth: form.bitDepth } : {}) };
  return {
    Tag: "VoiceSeparate",
    Input: { Object: form.key, ...(form.audioTrack ? { AudioTrack: form.audioTrack } : {}) },
    Operation: {
      ...(form.template ? { TemplateId: form.template } : { VoiceSeparate: { AudioMode: form.mode, AudioConfig: config } }),
      Output: output,
      ...(form.userData ? { UserData: form.userData } : {}),
      JobLevel: form.level,
    },
    ...(form.callback ? { CallBack: form.callback, CallBackFormat: "JSON" } : {}),
    ...(form.notBefore ? { NotBefore: wireTime(form.notBefore) } : {}),
    ...(form.deadline ? { Deadline: wireTime(form.deadline) } : {}),
    ...(form.timeout ? { Timeout: form.timeout } : {}),
  };
}

/** A time of the user's own clock, such as 2026-03-01T10:20, as the wire writes it. @param {string} local */
function wireTime(local) {
  return new Date(local).toISOString().replace(/\.\d+Z$/, "Z");
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

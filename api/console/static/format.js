// Numbers, times and sizes as people read them.
import { language, t } from "./text.js";

/** @param {number} seconds */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds > 0 && seconds < 0.095) return `${Math.max(1, Math.round(seconds * 1000))} ${t("unit.ms")}`;
  if (seconds < 10) return `${seconds.toFixed(1)} ${t("unit.s")}`;
  if (seconds < 60) return `${Math.round(seconds)} ${t("unit.s")}`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} ${t("unit.min")} ${Math.floor(seconds % 60)} ${t("unit.s")}`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} ${t("unit.h")} ${Math.floor((seconds % 3600) / 60)} ${t("unit.min")}`;
  return `${Math.floor(seconds / 86_400)} ${t("unit.d")} ${Math.floor((seconds % 86_400) / 3600)} ${t("unit.h")}`;
}

/** Position of a player: m:ss.t @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, seconds);
  const tenths = Math.floor((whole * 10) % 10);
  const rest = Math.floor(whole % 60);
  return `${Math.floor(whole / 60)}:${String(rest).padStart(2, "0")}.${tenths}`;
}

/** @param {number} bytes */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** @param {number | string} value */
export function number(value) {
  return Number(value).toLocaleString(locale());
}

/** Date and time of µs since the epoch. @param {number | string | undefined} micros */
export function time(micros) {
  if (!micros) return "–";
  return new Date(Number(micros) / 1000).toLocaleString(locale(), { dateStyle: "medium", timeStyle: "medium" });
}

/** Unix µs of a time of the wire, such as 2026-03-01T10:20:30+0800. @param {string | undefined} text */
export function micros(text) {
  if (!text || text === "-") return 0;
  return Date.parse(text.replace(/([+-]\d\d)(\d\d)$/, "$1:$2")) * 1000;
}

/**
 * A time of a day of the reader's own calendar, as the wire writes it; what is no day stays, so that the service refuses it.
 * @param {string | undefined} day such as 2026-03-01; nothing for none
 * @param {string} time such as 23:59:59
 */
export function wireTime(day, time) {
  if (!day) return undefined;
  const at = new Date(`${day}T${time}`);
  return Number.isNaN(at.getTime()) ? day : at.toISOString().replace(/\.\d+Z$/, "Z");
}

/** The last part of a key. @param {string} key */
export function baseName(key) {
  return key.slice(key.lastIndexOf("/") + 1) || key;
}

/** A text of somebody else, to be read: what controls lines or the direction of letters is written out. @param {string} text */
export function visible(text) {
  return text.replace(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The last part of a key, to be read. @param {string} key */
export function shownName(key) {
  return visible(baseName(key));
}

/** A name for a file that was made of a source: that of the song comes first, unless it is in it already. @param {string} key @param {string} source key */
export function nameOfPart(key, source) {
  const song = titleOf(source);
  const name = baseName(key);
  return !song || name.includes(song) ? name : `${song} - ${name}`;
}

/** The name of a song: the last part of its key, without what says its kind. @param {string} source */
export function titleOf(source) {
  return baseName(source).replace(/\.\w{1,5}$/, "");
}

function locale() {
  return language() === "zh" ? "zh-CN" : "en-GB";
}

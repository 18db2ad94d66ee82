// Texts in the language of the user; one file for each language.
import en from "./text/en.js";

/** @typedef {"en" | "zh"} Language */

const KEY = "stemline.language";
/** @type {Record<string, string>} */
let words = en;
/** @type {Language} */
let current = "en";

/** Return a text with its values filled in; of two forms, "one | several", the one for `n`. @param {string} key @param {Record<string, unknown>} [values] @param {string} [otherwise] */
export function t(key, values = {}, otherwise = key) {
  const forms = (words[key] ?? /** @type {Record<string, string>} */ (en)[key] ?? otherwise).split(" | ");
  const text = (forms.length > 1 && String(values.n) === "1" ? forms[0] : forms.at(-1)) ?? "";
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function language() {
  return current;
}

/** The language that the user chose before, else that of the browser. @returns {Language} */
export function preferred() {
  const chosen = localStorage.getItem(KEY);
  if (chosen === "en" || chosen === "zh") return chosen;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** Show texts in a language. @param {Language} wanted */
export async function choose(wanted) {
  words = wanted === "zh" ? (await import("./text/zh.js")).default : en;
  current = wanted;
  localStorage.setItem(KEY, wanted);
  document.documentElement.lang = wanted === "zh" ? "zh-CN" : "en";
}

// Components that some views share, and that the list of jobs does without.
import { t } from "./text.js";
import { html } from "./ui.js";
import { useState } from "./vendor/hooks.js";

/** Styles of uploads and the player, for the views that show them. */
export const SoundStyles = () => html`<link rel="stylesheet" href="/console/static/sound.css" />`;

/** A text with a button that copies it, where the browser lets a page do so: not on plain http. @param {{text: string}} props */
export function Copyable({ text }) {
  const [copied, setCopied] = useState(false);
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => {
        setCopied(true);
        setTimeout(() => setCopied(false), 1500);
      },
      () => {}, // the reader has forbidden it
    );
  return html`<span class="mono">${text}</span> ${navigator.clipboard && html`<button type="button" class="small" onClick=${copy}>${copied ? t("copied") : t("copy")}</button>`}`;
}

/** @param {{label: string, children?: unknown, hint?: string}} props */
export function Field({ label, children, hint }) {
  return html`<label class="field"><span>${label}</span>${children}${hint && html`<small>${hint}</small>`}</label>`;
}

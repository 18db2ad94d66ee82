// Asked before a log-in link takes the place of who is signed in.
import { nameOf } from "../session.js";
import { t } from "../text.js";
import { Confirm, html } from "../ui.js";
import { unfinished } from "./uploads.js";

/** @param {{from: string, to: import("../session.js").Session, onYes: () => Promise<unknown>, onClose: () => void}} props */
export default function Switch({ from, to, onYes, onClose }) {
  const uploads = unfinished();
  const values = { from, to: nameOf(to), n: uploads };
  const text = t("switch.text", values) + (uploads ? ` ${t("switch.uploads", values)}` : "");
  return html`<${Confirm} title=${t("switch.title")} text=${text} yes=${t("switch.yes")} onYes=${onYes} onClose=${onClose} />`;
}

// What can be downloaded of a job: its stems, all of them, and the mix as it is set.
import { nameOfPart, titleOf } from "../format.js";
import { t } from "../text.js";
import { html } from "../ui.js";
import { fromStore, received, StoreError } from "./store.js";

/** @typedef {import("./links.js").Track} Track */

/** The name of a track, to be read. @param {Track | undefined} track */
export const nameOf = (track) => t(`track.${track?.name}`, {}, track?.name);

/**
 * @param {object} props
 * @param {Track[]} props.tracks
 * @param {() => Promise<Track[]>} props.renew
 * @param {import("./mixer.js").Mixer | null} props.mixer
 * @param {ReturnType<typeof import("../ui.js").useAction>} props.saving
 */
export function Saves({ tracks, renew, mixer, saving }) {
  const stems = tracks.slice(1);
  const source = tracks[0]?.key ?? "";
  /** Save a stem by a link that is valid now. @param {Track} stem */
  const one = (stem) => saving.run(async () => {
    const urls = tracks.map(({ saveUrl }) => saveUrl);
    const index = tracks.indexOf(stem);
    try {
      await fromStore(urls, index, { renew: async () => (await renew()).map(({ saveUrl }) => saveUrl) }, begins);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.status) throw problemOf(stem, error);
      // A store may let nobody read by a page, and still send the file: that is seen in a page of its own.
      return follow(urls[index] ?? "", nameOfPart(stem.key, source), "_blank");
    }
    follow(urls[index] ?? "", nameOfPart(stem.key, source));
  });
  const zip = () => saving.run(async () => {
    const { downloadZip } = await import("../vendor/client-zip.js");
    const urls = tracks.map(({ url }) => url);
    /** @type {Error[]} */
    const problems = [];
    const files = async function* () {
      for (const stem of stems)
        try {
          const input = await fromStore(urls, tracks.indexOf(stem), { renew: async () => (await renew()).map(({ url }) => url) }, async (get, heard) => received(await get(), heard));
          yield { name: nameOfPart(stem.key, source), input };
        } catch (error) {
          if (!(error instanceof StoreError)) throw error;
          problems.push(problemOf(stem, error));
        }
    };
    const file = await downloadZip(files()).blob();
    if (problems.length < stems.length) save(file, `${titleOf(source) || "stems"}.zip`);
    if (problems.length) throw new Error([t("player.zipLacks", { n: problems.length }), ...problems.map(({ message }) => message)].join(" "));
  });
  const mix = () => saving.run(async () => {
    if (mixer) save(await mixer.render(), `${titleOf(source) || "song"} (mix).wav`);
  });
  return html`<div class="buttons">
    ${stems.filter(({ saveUrl }) => saveUrl).map((stem) => html`<a key=${stem.name} class="button" href=${stem.saveUrl} download=${nameOfPart(stem.key, source)} aria-label=${t("player.download", { name: nameOf(stem) })} aria-disabled=${saving.busy} onClick=${(/** @type {MouseEvent} */ event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      one(stem);
    }}>↓ ${nameOf(stem)}</a>`)}
    ${stems.length > 1 && html`<button type="button" aria-disabled=${saving.busy} onClick=${zip}>↓ ${t("player.zip")}</button>`}
    ${mixer && html`<button type="button" aria-disabled=${saving.busy} onClick=${mix}>↓ ${t("player.render")}</button>`}
  </div>`;
}

/** Whether a file is sent by a link. @param {import("./store.js").Get} get */
async function begins(get) {
  const answer = await get({ headers: { Range: "bytes=0-0" } });
  await answer.body?.cancel();
  return answer.ok ? "yes" : answer.status;
}

/** @param {Track} track @param {Error} error */
function problemOf(track, error) {
  return new Error(t("player.problemOf", { name: nameOf(track), reason: error.message }));
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const url = URL.createObjectURL(blob);
  follow(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** @param {string} href @param {string} download name of the file @param {string} [target] */
function follow(href, download, target = "") {
  Object.assign(document.createElement("a"), { href, download, target, rel: "noopener" }).click();
}

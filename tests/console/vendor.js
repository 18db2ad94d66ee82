// Copies the libraries of the console from node_modules, or with --check compares: node vendor.js [--check]
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "../../api/console/static/vendor");

/** @type {[string, string, string][]} package, file in it, name here */
const FILES = [
  ["preact", "dist/preact.mjs", "preact.js"],
  ["preact", "hooks/dist/hooks.mjs", "hooks.js"],
  ["htm", "dist/htm.module.js", "htm.js"],
  ["client-zip", "index.js", "client-zip.js"],
  ...["_md", "_u64", "hmac", "legacy", "sha2", "utils"].map(
    (name) => /** @type {[string, string, string]} */ (["@noble/hashes", `${name}.js`, `noble/${name}.js`]),
  ),
];
/** @type {Record<string, string>} */
const WHY = {
  preact: "views; 12 kB, kept by a team, the interface of React",
  htm: "templates without a build step",
  "@noble/hashes": "SHA-1, SHA-256 and HMAC; WebCrypto is missing on plain http. Audited",
  "client-zip": "all stems as one zip, streamed",
};

/** @param {string} name @param {string} file */
function read(name, file) {
  return readFileSync(join(here, "node_modules", name, file), "utf8");
}

/** @param {string} name */
function licence(name) {
  for (const file of ["LICENSE", "LICENSE.txt"]) {
    try {
      return read(name, file).trim();
    } catch {
      // the other name
    }
  }
  throw new Error(`${name} has no licence`);
}

/** @returns {Map<string, string>} content by name */
function wanted() {
  const found = new Map();
  for (const [name, file, as] of FILES) {
    const text = read(name, file)
      .replaceAll(/(from\s*)"preact"/g, '$1"./preact.js"')
      .replaceAll(/\n?\/\/# sourceMappingURL=\S+\s*$/g, "\n");
    found.set(as, text);
  }
  const parts = Object.entries(WHY).map(([name, why]) => {
    const { version, license, homepage, repository } = JSON.parse(read(name, "package.json"));
    const from = homepage ?? String(repository.url ?? repository).replace(/^git\+(ssh:\/\/git@|https:\/\/)/, "https://").replace(/\.git$/, "");
    const files = FILES.filter(([owner]) => owner === name).map(([, , as]) => `\`${as}\``);
    return `## ${name} ${version}\n\n${license}, ${from.startsWith("http") ? from : `https://github.com/${from}`}: ${why}.\nFiles: ${files.join(", ")}.\n\n\`\`\`text\n${licence(name)}\n\`\`\`\n`;
  });
  const head =
    "# Vendored libraries\n\nUnchanged files of the packages named below, except that an import of `preact` names the file beside it.\n" +
    "`node tests/console/vendor.js` writes this folder from the pinned packages, `--check` compares it with them.\n";
  found.set("VENDORED.md", [head, ...parts].join("\n"));
  return found;
}

const isCheck = process.argv.includes("--check");
for (const [name, text] of wanted()) {
  const path = join(target, name);
  if (isCheck) {
    if (readFileSync(path, "utf8") !== text) throw new Error(`${name} is not that of the pinned package`);
  } else {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
}

import "./browser.js";
import assert from "node:assert/strict";
import test from "node:test";
import { Unreadable, Upload } from "../../../api/console/static/upload.js";

const PART = 10;

/** A service and a store that keep what arrives. */
class Service {
  constructor() {
    this.parts = new Map();
    this.calls = [];
    this.failures = 0;
    this.isHeld = false;
  }

  call = async (method, path, { query, body } = {}) => {
    this.calls.push(`${method} ${path}`);
    if (path === "/uploads/complete") return { Key: query.key };
    if (method === "DELETE") return {};
    const size = Number(body?.Size ?? query.size);
    const count = Math.ceil(size / PART);
    const missing = Array.from({ length: count }, (_, i) => i + 1).filter((number) => !this.parts.has(number));
    const Part = missing.slice(0, 4).map((number) => ({ PartNumber: String(number), Url: `http://s3/${number}` }));
    return { Upload: { Key: "uploads/k/a", UploadId: "u", PartSize: String(PART), PartCount: String(count), ReceivedCount: String(this.parts.size), Part } };
  };

  send = async (url, blob, signal, onProgress) => {
    await new Promise((done) => setTimeout(done, 1));
    if (this.isHeld) await new Promise((_, failed) => signal.addEventListener("abort", () => failed(new Error("stopped"))));
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error("403 expired");
    }
    onProgress(blob.size);
    this.parts.set(Number(url.split("/").pop()), await blob.text());
  };

  get content() {
    return [...this.parts].sort(([a], [b]) => a - b).map(([, text]) => text).join("");
  }
}

const TEXT = `${"0123456789".repeat(9)}end`;
let number = 0;

function file() {
  number += 1;
  return new File([TEXT], `song ${number}.mp3`, { type: "audio/mpeg", lastModified: 5 });
}

test("all parts are sent, also more than an answer names, and then the upload is completed", async () => {
  const service = new Service();
  const upload = new Upload(service, file(), () => {}, service.send);
  assert.equal(await upload.run(), true);
  assert.deepEqual([service.content, upload.state, upload.key, upload.share], [TEXT, "done", "uploads/k/a", 1]);
  assert.equal(service.calls.at(-1), "POST /uploads/complete");
});

test("a part that is refused is asked for again, with a new URL", async () => {
  const service = new Service();
  service.failures = 1;
  const upload = new Upload(service, file(), () => {}, service.send);
  assert.equal(await upload.run(), true);
  assert.equal(service.content, TEXT);
});

test("an interrupted upload says that it is tried again, until something is sent", async () => {
  const service = new Service();
  service.failures = 1;
  /** @type {boolean[]} */
  const held = [];
  const upload = new Upload(service, file(), () => held.push(upload.isHeld), service.send);
  assert.equal(await upload.run(), true);
  assert.ok(held.includes(true));
  assert.equal(held.at(-1), false);
});

test("a paused upload goes on where it stopped, also after a reload of the tab", async () => {
  const service = new Service();
  const chosen = file();
  const upload = new Upload(service, chosen, () => {}, service.send);
  service.isHeld = true;
  const running = upload.run();
  await new Promise((done) => setTimeout(done, 10));
  upload.pause();
  assert.equal(await running, false);
  assert.equal(upload.state, "paused");
  service.isHeld = false;
  service.parts.set(1, TEXT.slice(0, PART));
  const later = new Upload(service, chosen, () => {}, service.send);
  assert.equal(await later.run(), true);
  assert.equal(service.content, TEXT);
  assert.equal(service.calls.filter((each) => each === "POST /uploads").length, 1);
});

test("an upload that is given up is deleted", async () => {
  const service = new Service();
  service.isHeld = true;
  const upload = new Upload(service, file(), () => {}, service.send);
  const running = upload.run();
  await new Promise((done) => setTimeout(done, 10));
  await upload.giveUp();
  assert.equal(await running, false);
  assert.deepEqual([upload.state, service.calls.at(-1)], ["given up", "DELETE /uploads"]);
});

test("a file that cannot be read any more is said so at once", async () => {
  const service = new Service();
  service.failures = 9;
  const gone = file();
  gone.slice = () => ({ size: PART, arrayBuffer: () => Promise.reject(new DOMException("gone", "NotFoundError")), slice: gone.slice });
  const upload = new Upload(service, gone, () => {}, service.send);
  assert.equal(await upload.run(), false);
  assert.deepEqual([upload.state, upload.error instanceof Unreadable, service.failures > 4], ["failed", true, true]);
});

test("a refusal of the service is final and is shown", async () => {
  const service = new Service();
  const refusal = Object.assign(new Error("A source may have at most 5 bytes."), { status: 400 });
  service.call = async () => Promise.reject(refusal);
  const upload = new Upload(service, file(), () => {}, service.send);
  assert.equal(await upload.run(), false);
  assert.deepEqual([upload.state, upload.error], ["failed", refusal]);
});

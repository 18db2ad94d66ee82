import "./browser.js";
import assert from "node:assert/strict";
import test from "node:test";
import { clock, duration, micros, nameOfPart, shownName, size, titleOf, visible, wireTime } from "../../../api/console/static/format.js";
import { cancelJobs, cancelWaiting, countRetriable, countWaiting, requestOf, retryFailed, retryJobs, whichOf } from "../../../api/console/static/views/actions.js";
import { remaining, waits } from "../../../api/console/static/views/job_list.js";
import { localTime, milliseconds, patternProblem, requestFor, templateFor, timesProblem } from "../../../api/console/static/views/options.js";
import { attemptsOf, spansOf } from "../../../api/console/static/views/timeline.js";
import { sumsOf } from "../../../api/console/static/views/usage.js";
import { workersOf } from "../../../api/console/static/views/workers.js";

const FORM = { key: "in/My song.mp3", mode: "MusicMode", codec: "wav", bitDepth: "24", template: "", level: "2", pattern: "out/{name}/{stem}.${ext}", userData: "", callback: "", bucket: "b-1", region: "r" };

test("an estimate that has passed is not shown", () => {
  const [now, later] = [1_000_000_000, 1_060_000_000];
  assert.deepEqual(waits({ Position: "1", EstimatedStart: String(later) }, now), ["place 1", "starts in ≈ 1 min 0 s"]);
  assert.deepEqual(waits({ Position: "1", EstimatedStart: String(now) }, now), ["place 1"]);
  assert.deepEqual(waits({ Position: "1", EstimatedStart: String(now) }, later), ["place 1"]);
  assert.equal(remaining({ Progress: "0", Started: "0", EstimatedEnd: String(later) }, now), "≈ 1 min 0 s");
  assert.equal(remaining({ Progress: "0", Started: "0", EstimatedEnd: String(now) }, later), "…");
  assert.equal(remaining({ Progress: "50", Started: "0", EstimatedEnd: "1" }, 60_000_000), "≈ 1 min 0 s");
});

test("a waiting job says that no worker takes it, once", () => {
  const job = { Position: "1", WaitReason: "No worker that separates is running." };
  assert.deepEqual(waits(job, 0), ["place 1", "no worker takes it"]);
  assert.deepEqual(waits({ ...job, Position: undefined }, 0), ["no worker takes it"]);
  assert.deepEqual(waits({ ...job, Message: "No worker that is running serves htdemucs." }, 0), ["place 1"]);
});

test("a form becomes the request of a job", () => {
  const request = requestFor(FORM);
  assert.deepEqual(request.Operation.Output, { Region: "r", Bucket: "b-1", AuObject: "out/My song/voice.${ext}", Object: "out/My song/other.${ext}", BassObject: "out/My song/bass.${ext}", DrumObject: "out/My song/drums.${ext}" });
  assert.deepEqual(request.Operation.VoiceSeparate, { AudioMode: "MusicMode", AudioConfig: { Codec: "wav", BitDepth: "24" } });
  assert.equal(requestFor({ ...FORM, template: "t1" }).Operation.TemplateId, "t1");
  assert.equal(patternProblem("out/x.${ext}", "MusicMode"), "new.patternStem");
  assert.equal(patternProblem("out/x.${ext}", "IsAudio"), "");
  assert.equal(patternProblem("/{stem}", "IsAudio"), "new.patternEmpty");
});

test("a form becomes a template, which keeps its model", () => {
  const form = new FormData();
  for (const [name, value] of Object.entries({ name: " heavy ", model: "htdemucs", Codec: "wav", Samplerate: "", BitDepth: "24" })) form.set(name, value);
  const template = { Tag: "VoiceSeparate", Name: "heavy", AudioMode: "MusicMode", AudioConfig: { Codec: "wav", BitDepth: "24" } };
  assert.deepEqual(templateFor(form, "MusicMode"), { ...template, Model: "htdemucs" });
  form.set("model", " ");
  assert.deepEqual(templateFor(form, "MusicMode"), template);
});

test("texts of somebody else cannot turn round or break lines, and stay otherwise as they are", () => {
  assert.equal(visible("a\u202egpj.exe\n\u2066b\u2028"), "a\\u202egpj.exe\\u000a\\u2066b\\u2028");
  assert.equal(visible("שיר 月亮 é 😀 \u200f"), "שיר 月亮 é 😀 \u200f");
  assert.equal(shownName("in\u202e/b\u202ec"), "b\\u202ec");
  assert.deepEqual([wireTime(undefined, "00:00:00"), wireTime("abc", "00:00:00")], [undefined, "abc"]);
  assert.equal(wireTime("2026-03-01", "23:59:59"), new Date(2026, 2, 1, 23, 59, 59).toISOString().replace(".000Z", "Z"));
});

test("a job can be submitted again from its answer", () => {
  const job = { QueueId: "p1", Input: { BucketId: "b", Region: "r", Object: "in/a.mp3" }, Operation: { VoiceSeparate: { AudioMode: "IsAudio" }, Output: { AuObject: "o" }, UserData: "u", JobLevel: "1", MediaInfo: {}, MediaResult: {} } };
  assert.deepEqual(requestOf(job), { Tag: "VoiceSeparate", Input: { Object: "in/a.mp3" }, Operation: { VoiceSeparate: { AudioMode: "IsAudio" }, Output: { AuObject: "o" }, UserData: "u", JobLevel: "1" }, QueueId: "p1" });
});

test("what is submitted again, or changed, keeps all that the job was asked for", () => {
  const config = { Codec: "mp3", Bitrate: "64", Samplerate: "22050", Channels: "1" };
  const job = {
    QueueId: "p1", NotBefore: "2099-01-01T00:00:00+0800", Deadline: "2001-01-01T00:00:00+0800", Timeout: "77", Hop: { Wait: "9", JobLevel: "2" },
    Input: { Object: "in/a.mp3", AudioTrack: "1" },
    Operation: { VoiceSeparate: { AudioMode: "IsAudio", AudioConfig: config, Model: "mine" }, Output: { AuObject: "out/{name}.mp3" }, UserData: "u", JobLevel: "1" },
  };
  const callback = { CallBack: "https://example.com/x", CallBackFormat: "XML" };
  const again = requestOf(job, callback);
  assert.deepEqual(again, {
    Tag: "VoiceSeparate", Input: job.Input, QueueId: "p1", ...callback, NotBefore: job.NotBefore, Timeout: "77", Hop: job.Hop,
    Operation: { VoiceSeparate: job.Operation.VoiceSeparate, Output: job.Operation.Output, UserData: "u", JobLevel: "1" },
  });
  const form = { ...FORM, mode: "IsAudio", codec: "mp3", bitDepth: "", base: again, callback: callback.CallBack };
  const changed = requestFor(form);
  assert.deepEqual([changed.QueueId, changed.Hop, changed.CallBack, changed.CallBackFormat], ["p1", job.Hop, callback.CallBack, "XML"]);
  assert.deepEqual(changed.Operation.VoiceSeparate, job.Operation.VoiceSeparate);
  // Of another codec or mode what suits the former one is left out.
  assert.deepEqual(requestFor({ ...form, codec: "wav", mode: "MusicMode" }).Operation.VoiceSeparate, { AudioMode: "MusicMode", AudioConfig: { Codec: "wav" } });
  const queue = { CallBackType: "TDMQ", CallBackMqConfig: { MqName: "q" } };
  assert.deepEqual(requestFor({ ...form, base: { ...again, ...queue }, callback: "" }).CallBackMqConfig, queue.CallBackMqConfig);
  const url = requestFor({ ...form, base: { ...again, ...queue } });
  assert.deepEqual([url.CallBackType, url.CallBackMqConfig], ["Url", undefined]);
  assert.equal(milliseconds("2026-03-01T10:20:30+0800"), Date.UTC(2026, 2, 1, 2, 20, 30));
  assert.equal(new Date(localTime("2026-03-01T10:20:00+0800")).getTime(), Date.UTC(2026, 2, 1, 2, 20));
});

test("what is done to a whole list is done to the jobs that it shows", async () => {
  const asked = [];
  const api = { call: async (_method, path, { query }) => {
    asked.push([path, query]);
    return { MatchedCount: "3", ChangedCount: "3" };
  } };
  const which = whichOf({ view: "jobs", state: "Failed", batch: "b1", queue: "", from: "2026-03-01", to: "2026-03-02" });
  assert.equal(which.queueId, undefined);
  assert.equal(Date.parse(which.endCreationTime) - Date.parse(which.startCreationTime), 2 * 86_400_000 - 1000);
  const page = { api, events: { poke() {} } };
  assert.deepEqual([await countRetriable(api, which), await countWaiting(api, which), await retryFailed(page, which)], [3, 3, 3]);
  await cancelWaiting(page, which);
  for (const [, query] of asked) assert.deepEqual([query.batchId, query.startCreationTime], ["b1", which.startCreationTime]);
  assert.deepEqual(asked.map(([path, { states, dryRun }]) => [path.split("/").pop(), states, dryRun]), [["retry", "Failed", "true"], ["cancel", "Submitted,Pause", "true"], ["retry", "Failed", undefined], ["cancel", "Submitted,Pause", undefined]]);
});

test("jobs are cancelled ten at a time; those that have ended do not keep the others", async () => {
  const cancelled = new Set();
  const api = { call: async (_method, path) => {
    const ids = path.split("/").pop().split(",");
    assert.ok(ids.length <= 10);
    if (ids.includes("j7")) throw new Error("j7 has ended");
    for (const id of ids) cancelled.add(id);
  } };
  await cancelJobs({ api, events: { poke() {} } }, Array.from({ length: 25 }, (_, i) => `j${i}`));
  assert.equal(cancelled.size, 24);
});

test("jobs are retried ten at a time; those that cannot be do not keep the others", async () => {
  const refusal = Object.assign(new Error("j7 is Success"), { status: 400 });
  const sent = [];
  const api = { call: async (_method, path) => {
    const ids = path.split("/")[2].split(",");
    assert.ok(ids.length <= 10);
    if (ids.includes("j7")) throw refusal;
    sent.push(...ids);
  } };
  const ids = Array.from({ length: 25 }, (_, i) => `j${i}`);
  assert.equal(await retryJobs({ api, events: { poke() {} } }, ids), 24);
  assert.equal(new Set(sent).size, 24);
});

test("many are changed in parts, until nothing is left to do", async () => {
  const asked = [];
  const answers = [{ ChangedCount: "250", NextToken: "7" }, { ChangedCount: "9", NextToken: "" }];
  const api = { call: async (method, path, { query }) => {
    asked.push([method, path, query.states, query.nextToken]);
    return answers.shift();
  } };
  assert.equal(await retryFailed({ api, events: { poke() {} } }), 259);
  assert.deepEqual(asked, [["POST", "/bulk/jobs/retry", "Failed", undefined], ["POST", "/bulk/jobs/retry", "Failed", "7"]]);
});

test("a worker has one card, whichever of its threads ran a job", () => {
  const ran = (name, thread, times) => ({ Worker: `${name}/${thread}`, WorkerName: name, Device: "cpu", ...times });
  const ended = [
    ran("a", 7, { Started: "1000000", Ended: "3000000", Duration: "20", Model: "2stems" }),
    ran("b", 8, { Started: "1000000", Ended: "9000000", Duration: "8" }),
    ran("a", 9, { Started: "4000000", Ended: "5000000", Duration: "10", Model: "2stems" }),
    ran("a", 9, { Started: "5000000", Ended: "9000000", Duration: "2", Model: "htdemucs" }),
    ran("a", 9, { Started: "5000000", Ended: "5100000", Duration: "300", Model: "htdemucs", Reused: "j0" }),
    ran("left", 3, { Started: "4000000", Ended: "5000000", Duration: "10" }),
  ];
  const reports = ["a", "b"].map((Name) => ({ Name, Kind: "separation", Alive: "true", Device: "auto", Seen: "7" }));
  const [busy, idle, ...others] = workersOf([ran("b", 8, { JobId: "j1" })], ended, reports);
  const speeds = (worker) => [...worker.speeds].map(([model, { sound, ran }]) => [model, sound / ran]);
  assert.deepEqual([busy.name, busy.running.length, speeds(busy), busy.device], ["b", 1, [["", 1]], "cpu"]);
  assert.deepEqual([idle.name, idle.ended, speeds(idle), idle.device], ["a", 4, [["2stems", 10], ["htdemucs", 0.5]], "cpu"]);
  assert.deepEqual(others, []);
  const [silent] = workersOf([ran("old", 1, { JobId: "j2" })], ended);
  assert.deepEqual([silent.name, silent.report, silent.running.length], ["old", null, 1]);
});

test("a worker that was killed and started again under another name is shown once", () => {
  const report = (Name, Alive, Started, Seen) => ({ Name, Kind: "separation", Alive, Device: "cpu", Started, Seen });
  const dead = report("separation-1@host", "false", "1", "50");
  const names = (...reports) => workersOf([], [], reports).map((each) => each.name);
  assert.deepEqual(names(dead, report("separation-2@host", "true", "60", "99")), ["separation-2@host"]);
  assert.deepEqual(names(dead, report("separation-2@host", "true", "20", "99")), ["separation-2@host", "separation-1@host"]);
  assert.deepEqual(names(dead, report("separation-2@other", "true", "60", "99")), ["separation-2@other", "separation-1@host"]);
});

test("workers report themselves, and those that live are first", () => {
  const report = (name, alive) => ({ Name: name, Kind: "separation", Alive: alive, Device: "auto", Seen: "7" });
  const reports = [report("gone", "false"), report("idle", "true"), report("busy", "true")];
  const found = workersOf([{ WorkerName: "busy", JobId: "j1", Device: "cpu" }], [{ WorkerName: "gone", Device: "gpu", Started: "1", Ended: "2" }], reports);
  assert.deepEqual(found.map((each) => [each.name, each.device]), [["busy", "cpu"], ["idle", ""], ["gone", "gpu"]]);
});

test("the way of a job is described without gaps, over several attempts and their stages", () => {
  const job = { Created: "0", Ended: "100", State: "Success" };
  const kept = [
    { Worker: "a", Started: "10", Ended: "40", Outcome: "lost", Stage: [{ Name: "download", Started: "12" }, { Name: "decode", Started: "20" }] },
    { Worker: "b", Started: "60", Ended: "100", Outcome: "Success", Stage: [{ Name: "separate", Started: "60" }] },
  ];
  const attempts = attemptsOf(job, kept, 500);
  const spans = spansOf(job, attempts, 500);
  assert.deepEqual(spans.map(({ kind, from, to }) => [kind, from, to]), [
    ["waited", 0, 10], ["start", 10, 12], ["download", 12, 20], ["decode", 20, 40], ["waited", 40, 60], ["separate", 60, 100],
  ]);
  assert.deepEqual(spansOf({ Created: "0", State: "Submitted" }, [], 9), [{ kind: "waited", from: 0, to: 9 }]);
  const running = attemptsOf({ Created: "0", State: "Running" }, [{ Worker: "a", Started: "10", Stage: [] }], 30);
  assert.deepEqual(spansOf({ Created: "0", State: "Running" }, running, 30).map(({ kind, to }) => [kind, to]), [["waited", 10], ["ran", 30]]);
  const old = { Created: "0", Started: "5", Ended: "9", State: "Failed" };
  assert.deepEqual(spansOf(old, [], 99).map(({ from, to }) => [from, to]), [[0, 5], [5, 9]]);
});

test("a job that could never start is not submitted, and times are sent as they are meant", () => {
  const now = Date.parse("2026-03-01T10:00");
  assert.equal(timesProblem("", "2026-03-01T09:59", now), "new.deadlinePassed");
  assert.equal(timesProblem("2026-03-01T12:00", "2026-03-01T11:00", now), "new.deadlineFirst");
  assert.equal(timesProblem("2026-03-01T12:00", "2026-03-01T13:00", now), "");
  const request = requestFor({ ...FORM, notBefore: "2026-03-01T12:00", deadline: "2026-03-01T13:00", timeout: "90" });
  assert.equal(request.NotBefore, new Date(2026, 2, 1, 12).toISOString().replace(".000", ""));
  assert.deepEqual([request.Timeout, "Deadline" in requestFor(FORM)], ["90", false]);
});

test("days of usage are added up, work by device", () => {
  const row = { JobCount: "2", SuccessCount: "1", FailedCount: "1", AudioSeconds: "1.5", BytesIn: "3", BytesOut: "4", Work: [{ Device: "cpu", Seconds: "2" }] };
  const sums = sumsOf([row, { ...row, Work: [] }]);
  assert.deepEqual([sums.jobs, sums.audio, sums.bytesOut, sums.work.get("cpu")], [4, 3, 8, 2]);
});

test("numbers are written as people read them", () => {
  assert.deepEqual([duration(1.25), duration(75), duration(3720), duration(90_000)], ["1.3 s", "1 min 15 s", "1 h 2 min", "1 d 1 h"]);
  assert.deepEqual([clock(0), clock(61.27), clock(-1)], ["0:00.0", "1:01.2", "0:00.0"]);
  assert.deepEqual([size(5), size(5_300_000), size(2e11)], ["5 B", "5.3 MB", "200 GB"]);
  assert.equal(micros("2026-03-01T10:20:30+0800"), Date.UTC(2026, 2, 1, 2, 20, 30) * 1000);
});

test("files are saved under the name of their song, once", () => {
  assert.equal(nameOfPart("out/j1/voice.mp3", "in/Night bus.wav"), "Night bus - voice.mp3");
  assert.equal(nameOfPart("out/Night bus-voice.mp3", "in/Night bus.wav"), "Night bus-voice.mp3");
  assert.equal(nameOfPart("voice.mp3", ""), "voice.mp3");
  assert.deepEqual(["in/a.b.flac", "a", "in/v1.2 final mix", ".wav"].map(titleOf), ["a.b", "a", "v1.2 final mix", ""]);
});

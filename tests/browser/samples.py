"""Jobs of every state and kind, for pages that show them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from stemline.jobs.batch import Row
from stemline.jobs.callback import CallbackRequest
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.job import Job, JobSpec, Output, OutputFile, Result, StemLevels, Waveform
from stemline.jobs.separation import MODE_TRACKS, AudioConfig, AudioMode, Track, VoiceSeparate
from stemline.jobs.store import JobFilter, Store
from stemline.jobs.worker import Worker, claimant
from stemline.testing.api_server import TENANT
from stemline.testing.client import SECRET_ID
from stemline.workers.feeder import Feeder
from stemline.workers.presence import Presence

NAMES = (
    "Night bus",
    "Ferry",
    "Lanterns",
    "月亮代表我的心",
    "A very long name of a song that does not fit into a column",
)


def spec(number: int, mode: AudioMode = AudioMode.AUDIO_AND_BACKGROUND, **changes) -> JobSpec:
    """Return a job; its number varies what it is called."""
    names = {
        {
            Track.VOICE: "au_object",
            Track.BACKGROUND: "object",
            Track.BASS: "bass_object",
            Track.DRUM: "drum_object",
        }[track]: f"out/${{jobid}}/{track}.${{ext}}"
        for track in MODE_TRACKS[mode]
    }
    values: dict[str, Any] = {
        "tenant": TENANT,
        "input_object": f"in/album {number % 7}/{number:02d} {NAMES[number % len(NAMES)]}.mp3",
        "separate": VoiceSeparate(mode, AudioConfig(codec="mp3")),
        "output": Output(region=TENANT.region, bucket=TENANT.bucket, **names),
        "user_data": f"order {number}",
        "level": number % 3,
    }
    return JobSpec(**(values | changes))


def succeed(store: Store, job) -> None:
    """End a claimed job as Success."""
    files = tuple(
        OutputFile(
            track,
            job.spec.key(track, job.id),
            f"{i:032x}",
            4_000_000 + i,
            StemLevels(-1.5 - i, i, -14.25 - i),
        )
        for i, track in enumerate(job.spec.tracks())
    )
    info = {"Format": {"FormatName": "mp3", "Duration": "214.300000"}, "Stream": {"Audio": []}}
    drawn = tuple(Waveform(name, 20_000, "gH+AfwA/") for name in ("Mix", *job.spec.tracks()))
    store.attempts.succeed(
        job, Result(files, info, -97.25, -24.5, audio_s=214.3, source_bytes=5_144_000), drawn
    )


class EarlierClock:
    """The time of the machine, put back so that what happens now happened earlier."""

    def __init__(self, seconds: float) -> None:
        self.back_us = round(seconds * 1e6)

    def __call__(self) -> int:
        return time.time_ns() // 1000 - self.back_us

    def advance(self, seconds: float) -> None:
        """Let time pass, until it is now."""
        self.back_us = max(0, self.back_us - round(seconds * 1e6))


def fill(store: Store, number: int = 40, clock: EarlierClock | None = None) -> None:
    """Submit jobs and bring some of them into each state."""
    clock = clock or EarlierClock(0)
    callback = CallbackRequest(url="https://receiver.example/hooks/stems")
    for i in range(number):
        clock.advance(7)
        store.jobs.create([spec(i, list(AudioMode)[i % 4], callback=callback, credential=SECRET_ID)])
    for i in range(number // 2):
        job = store.attempts.claim(claimant(f"separate@worker-{i % 2}", 4000 + i % 4), (2, 1, 0))
        if job is None:
            break
        if i % 6 == 1:
            job = _put_off(store, job, clock)
        for share, stage in ((0, "download"), (0, "decode"), (10 * (i % 10), "separate")):
            store.attempts.heartbeat(job.id, job.token, share, "cpu", stage)
            clock.advance(1.5 if share == 0 else 20)
        if i % 5 == 4:
            store.attempts.fail(job, "ResourceNotFound", "The input object does not exist. (NoSuchKey)")
        elif i % 5 != 3:
            store.attempts.heartbeat(job.id, job.token, 100, stage="upload")
            clock.advance(3)
            succeed(store, job)


def _put_off(store: Store, job: Job, clock: EarlierClock) -> Job:
    """Let an attempt end early, and begin the next one."""
    clock.advance(4)
    store.attempts.heartbeat(job.id, job.token, 0, stage="download")
    clock.advance(11)
    store.attempts.release(job, reason="The bucket is unavailable. (503)")
    clock.advance(6)
    again = store.attempts.claim(claimant("separate@worker-1", 4001), (2, 1, 0))
    assert again is not None
    return again


def add_batches(store: Store) -> str:
    """Submit two batches, one of them with failures; return the id of that one."""
    common = spec(0, credential=SECRET_ID, callback=CallbackRequest(url="https://receiver.example/batch"))
    ids = []
    for name, rows in (("night", 12), ("第二张专辑", 48)):
        made = "b" + f"{rows:032x}"
        store.batches.begin(made, name, common, None, "upload")
        store.batches.append(made, "upload", 0, [Row(f"in/{name}/{i:04}.mp3") for i in range(rows)])
        store.batches.seal(made, "upload", "0" * 64, credential=SECRET_ID)
        ids.append(made)
    Feeder(store).feed()
    found = store.jobs.search(TENANT, JobFilter(batch=ids[0], size=20)).items
    store.jobs.cancel(TENANT, [job.id for job in found[:2]])
    return ids[0]


@contextmanager
def workers(store: Store) -> Iterator[None]:
    """Let workers report themselves while a block runs: busy ones, an idle one, one of callbacks."""
    now = store.now()
    found = [
        Worker(f"separate@worker-{number}", "separation", 4, (2, 1, 0), "cpu", "1.0", now)
        for number in range(3)
    ]
    found.append(Worker("callbacks@worker-0", "callbacks", 20, (), "", "1.0", now))
    with ExitStack() as stack:
        for worker in found:
            presence = Presence(store, worker)
            presence.start()
            stack.callback(presence.stop)
        yield


@contextmanager
def gone(store: Store, name: str) -> Iterator[None]:
    """Let a worker have reported itself for the last time a minute ago, while a block runs."""
    contents: Any = store.workers._contents  # type: ignore[attr-defined]
    clock, contents.clock = contents.clock, EarlierClock(60)
    store.workers.report(Worker(name, "separation", 4, (2, 1, 0), "cpu", "1.0", store.now()))
    contents.clock = clock
    yield
    store.workers.leave(name)


def give_up(store: Store, delivery: str) -> None:
    """Let the last attempt of a callback fail."""
    attempt = DeliveryAttempt(at=store.now(), status="500", duration_ms=12, answer="500 it is on fire")
    store.outbox.record(delivery, attempt, next_due=None, status="dead")


def add_templates(store: Store) -> None:
    """Create a few templates."""
    for name, mode, config in (
        ("karaoke", AudioMode.IS_BACKGROUND, AudioConfig(codec="mp3", bitrate=192)),
        ("archive-24", AudioMode.MUSIC_MODE, AudioConfig(codec="wav", bit_depth=24)),
        ("人声", AudioMode.IS_AUDIO, AudioConfig(codec="flac")),
    ):
        store.templates.create(TENANT, name, VoiceSeparate(mode, config))

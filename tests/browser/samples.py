"""Jobs of every state and kind, for pages that show them."""

from __future__ import annotations

from typing import Any

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.job import JobSpec, Output, OutputFile, Result, StemLevels, Waveform
from stemline.jobs.separation import MODE_TRACKS, AudioConfig, AudioMode, Track, VoiceSeparate
from stemline.jobs.store import Store
from stemline.testing.api_server import TENANT

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
    store.jobs.succeed(job, Result(files, info, -97.25), drawn)


def fill(store: Store, number: int = 40) -> None:
    """Submit jobs and bring some of them into each state."""
    callback = CallbackRequest(url="https://receiver.example/hooks/stems")
    for i in range(number):
        store.jobs.create([spec(i, list(AudioMode)[i % 4], callback=callback)])
    for i in range(number // 2):
        job = store.jobs.claim(f"separate@worker-{i % 2}", (2, 1, 0))
        if job is None:
            break
        store.jobs.heartbeat(job.id, job.token, 10 * (i % 10), "CPUExecutionProvider, 2 threads")
        if i % 5 == 4:
            store.jobs.fail(job, "ResourceNotFound", "The input object does not exist. (NoSuchKey)")
        elif i % 5 != 3:
            succeed(store, job)


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

"""A worker that splits sound instead of separating it, so that pages can be tried without an engine.

Each stem is a share of the source, in samples that add up to the source exactly.
"""

from __future__ import annotations

import base64
import io
import threading
import wave
from types import TracebackType
from typing import Any, Self

import numpy as np

from stemline.jobs.job import Job, OutputFile, Result, StemLevels, Waveform
from stemline.jobs.store import Store
from stemline.jobs.worker import claimant

RATE = 44_100


def tone(seconds: float, *, seed: int = 7) -> np.ndarray:
    """Return two channels of tones that come and go, in 16 bits."""
    time = np.arange(round(seconds * RATE)) / RATE
    rng = np.random.default_rng(seed)
    left = sum(np.sin(2 * np.pi * f * time) * np.abs(np.sin(time * f / 90)) for f in (220, 331, 440))
    right = left * 0.7 + 0.05 * rng.standard_normal(len(time))
    return (np.stack([left, right], axis=1) * 6000).astype("<i2")


def wav(samples: np.ndarray) -> bytes:
    """Return a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


def pairs(samples: np.ndarray, per_pair: int) -> str:
    """Return a waveform as the service keeps it."""
    rows = [samples[at : at + per_pair] for at in range(0, len(samples), per_pair)]
    found = [(int(row.min()) >> 8, int(row.max()) >> 8) for row in rows]
    return base64.b64encode(np.array(found, dtype=np.int8).tobytes()).decode()


class SplittingWorker:
    """Runs the jobs of a store, one after the other, until it is closed."""

    def __init__(self, store: Store, s3: Any, bucket: str) -> None:
        self._store, self._s3, self._bucket = store, s3, bucket
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(180)

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            if job := self._store.attempts.claim(
                claimant("separate@splitter", threading.get_native_id()), (2, 1, 0)
            ):
                try:
                    self._work(job)
                except self._s3.exceptions.NoSuchKey:
                    self._store.attempts.fail(job, "ResourceNotFound", "The input object does not exist.")

    def _stage(self, job: Job, stage: str, progress: int) -> None:
        self._store.attempts.heartbeat(job.id, job.token, progress, "splitter", stage)

    def _work(self, job: Job) -> None:
        self._stage(job, "download", 0)
        source = self._s3.get_object(Bucket=self._bucket, Key=job.spec.input_object)["Body"].read()
        with wave.open(io.BytesIO(source)) as file:
            mix = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
        self._stage(job, "separate", 30)
        tracks = job.spec.tracks()
        rest, stems = mix.copy(), {}
        for track in tracks[:-1]:
            stems[track] = (mix // (len(tracks) + 1)).astype("<i2")
            rest = rest - stems[track]
        stems[tracks[-1]] = rest
        self._stage(job, "upload", 80)
        files = []
        for number, (track, samples) in enumerate(stems.items()):
            key, body = job.spec.key(track, job.id), wav(samples)
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
            files.append(OutputFile(track, key, f"{number:032x}", len(body), StemLevels(-6.0, 0, -18.0)))
        per_pair = max(1, len(mix) // 800)
        sounds = {"Mix": mix, **stems}
        drawn = [Waveform(name, per_pair, pairs(sound, per_pair)) for name, sound in sounds.items()]
        info = {
            "Format": {"FormatName": "wav", "Duration": f"{len(mix) / RATE:.6f}"},
            "Stream": {"Audio": []},
        }
        self._store.attempts.succeed(job, Result(tuple(files), info, -200.0), drawn)

"""One attempt at a job, with a fake store, buckets and engine around it."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.jobs.job import Job
from stemline.jobs.states import State
from stemline.runtime.settings import Settings
from stemline.runtime.telemetry import Tracer
from stemline.separation.media import EncodedStem, MediaInfo, OutputSpec
from stemline.separation.pipeline import Report
from stemline.storage import Upload
from stemline.storage.download import Downloaded
from stemline.testing.samples import job_spec
from stemline.workers import stages, store_retry
from stemline.workers.attempt import Attempt
from stemline.workers.context import Pace
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.outcome import AttemptResult
from stemline.workers.shutdown import Shutdown
from tests.support.stems import NO_MEDIA_INFO

JOB_ID = "j" + "1" * 32
#: A disk on which others have most, whatever the machine of the tests has, bytes.
HALF_FULL = SimpleNamespace(total=10**12, used=6 * 10**11, free=4 * 10**11)


def encoded(name: str, spec: OutputSpec) -> EncodedStem:
    """What the pipeline says of an instrument's file."""
    rate = 1000 * len(name)
    audio = replace(NO_MEDIA_INFO.audio, sample_rate=rate)
    info = MediaInfo(NO_MEDIA_INFO.format, audio)
    return EncodedStem(spec.path, rate, info)


def md5_of(name: str) -> str:
    return hashlib.md5(name.encode()).hexdigest()


class Fake:
    """Records the calls of its methods; a method raises the errors planned for it, one for each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.errors: dict[str, list[Exception | None]] = {}
        self.results: dict[str, Callable[..., Any]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.calls.append((name, args, options))
            if planned := self.errors.get(name):
                error = planned.pop(0)
                if error is not None:
                    raise error
            return self.results.get(name, lambda *_, **__: None)(*args, **options)

        return call

    def names(self) -> list[str]:
        """What was called, but for heartbeats, which come from a thread at any time."""
        return [name for name, _, _ in self.calls if name != "heartbeat"]

    def arguments(self, name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return next((args, options) for called, args, options in self.calls if called == name)


class Bench:
    """One attempt at a job, with everything around it faked."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
        self.store, self.buckets, self.engine = Fake(), Fake(), Fake()
        vars(self.buckets)["stems"] = self.buckets
        self.store.results["heartbeat"] = lambda *_, **__: False
        self.buckets.results |= {"download": lambda *_, **__: Downloaded(100, '"e"'), "open": self._open}
        self.buckets.results["send"] = lambda upload, *_, **__: replace(upload, md5=md5_of(upload.key))
        self.engine.results["separate_file"] = self._separate
        monkeypatch.setattr(stages, "separate_file", self.engine.separate_file)
        monkeypatch.setattr(store_retry, "WAIT_S", 0.01)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: HALF_FULL)
        self.shutdown = Shutdown()
        self.events = Fake()
        self.job = Job(
            id=JOB_ID,
            spec=job_spec(),
            state=State.RUNNING,
            created=round(time.time() * 1e6),
            attempt=1,
            token=1,
        )
        self.context: Any = SimpleNamespace(
            settings=Settings(**{"scratch_dir": str(tmp_path), "heartbeat_s": 0.05} | changes),
            pace=Pace(),
            store=SimpleNamespace(jobs=self.store, attempts=self.store),
            buckets=self.buckets,
            metrics=WorkerMetrics(),
            tracer=Tracer(),
            shutdown=self.shutdown,
            events=self.events,
            engine=lambda *_: SimpleNamespace(device="test"),
            loading_bytes=lambda _: 0,
            make_room_for=lambda _: None,
            has_run=lambda _: None,
            make_room=lambda: None,
            decoder=None,
        )

    def run(self) -> AttemptResult:
        return Attempt(self.job, self.context).run()

    def _open(self, region: str, bucket: str, key: str, **options: Any) -> Upload:
        upload = Upload(region, bucket, key, f"id of {key}", options["job_id"], options["token"], 1, "")
        options["opened"](upload)
        return upload

    def _separate(self, engine: Any, source: Path, outputs: Any, **__: Any) -> Report:
        """Pretend to write what was asked for; the size of each stem is its own."""
        stems = {name: encoded(name, spec) for name, spec in outputs.items()}
        return Report(1.0, 44_100, {"total": 1.0}, "test", stems)

    def cleaned_up(self) -> list[str]:
        """The keys whose upload was aborted and whose object was deleted."""
        aborted = [args[0].key for name, args, _ in self.buckets.calls if name == "abort"]
        deleted = [args[2] for name, args, _ in self.buckets.calls if name == "delete_own"]
        assert aborted == deleted
        return aborted

"""A stub of the separator: it writes stems whose bytes name their source.

A source is a JSON object: ``nonce`` (its own), ``seconds`` (how long to work), ``poison`` (kills the engine).
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from stemline.jobs.job import Job
from stemline.separation.errors import Cancelled
from stemline.separation.media.types import EncodedStem, OutputSpec
from stemline.separation.pipeline import Report
from tests.support.stems import NO_MEDIA_INFO

STEMS = {"voice": "vocals", "bg": "accompaniment"}
"""Name in the output key to name in the model."""


def source(nonce: str, seconds: float, *, poison: bool = False) -> bytes:
    """An input object."""
    return json.dumps({"nonce": nonce, "seconds": seconds, "poison": poison}).encode()


def nonce(job: Job) -> str:
    """Return what names the source of a job."""
    return job.spec.input_object.removeprefix("in/")


def stem(name: str, nonce: str) -> bytes:
    """Return the content of a stem of a source, by the model's name of the stem."""
    return f"{name} of {nonce} ".encode() * 50


def separate_file(
    engine: Any,
    path: Path,
    outputs: Mapping[str, OutputSpec],
    *,
    progress: Callable[[float], None],
    cancelled: Callable[[], bool],
    **_: Any,
) -> Report:
    """Wait as long as the source asks for, then write the stems."""
    asked = json.loads(path.read_bytes())
    if asked["poison"]:
        os.kill(os.getpid(), signal.SIGKILL)
    began = time.monotonic()
    while (spent := time.monotonic() - began) < asked["seconds"]:
        time.sleep(min(0.05, asked["seconds"] - spent))
        progress(min(spent / asked["seconds"], 1.0))
        if cancelled():
            raise Cancelled
    stems = {name: _write(spec.path, stem(name, asked["nonce"])) for name, spec in outputs.items()}
    return Report(asked["seconds"], 0, {"total": asked["seconds"]}, engine.device, stems)


def _write(path: Path, data: bytes) -> EncodedStem:
    path.write_bytes(data)
    return EncodedStem(path, len(data), NO_MEDIA_INFO)


def install() -> None:
    """Replace the separator of the worker with the stub."""
    from stemline.workers import engines, stages

    place: Any = stages
    place.separate_file = separate_file
    place = engines
    place.load_engine = lambda model, **_: SimpleNamespace(device="stub")

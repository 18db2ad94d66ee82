"""What whole songs cost: on a device, and on the host alone, where the networks take no time."""

# ruff: noqa: PLC0415 - each step loads only what it uses

from __future__ import annotations

import resource
import tempfile
import time
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.memory import Even
from stemline.separation.media import MediaLimits, OutputSpec
from stemline.separation.pipeline import separate_file

Result = dict[str, Any]
SEGMENT_S: Final = 512 * 1024 / 44_100
"""Seconds of audio of one segment."""
HOST_S = 60.0
"""Seconds of audio that the host alone is measured with."""


@contextmanager
def song(seconds: float) -> Iterator[Path]:
    """Write a song of chords and noise as wav."""
    from tests.golden.song import mix, stems

    part = mix(stems(min(seconds, 30.0)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.wav"
        with wave.open(str(path), "wb") as out:
            out.setparams((2, 2, 44_100, 0, "NONE", ""))
            for _ in range(max(1, round(seconds / 30))):
                out.writeframes((part * 32767).astype("<i2").tobytes())
        yield path


def songs(device: str) -> Result:
    """Separate one and sixteen songs at a time with one engine, to each codec."""
    from stemline.models.loading import load_engine

    seconds, counts = (240.0, (1, 16)) if device == "cuda" else (30.0, (1, 2))
    limits = MediaLimits(max_duration_s=3600, max_bytes=1 << 32)
    figures = {}
    with song(seconds) as source:
        for count in counts:
            engine = load_engine("2stems", device=device, songs=count, batch_wait_s=0.005)
            for codec in ("wav", "flac", "mp3", "aac"):

                def separate(number: int, engine: Any = engine, codec: str = codec) -> None:
                    outputs = {
                        name: OutputSpec(source.with_name(f"{number}-{name}.{codec}"), codec)
                        for name in ("vocals", "accompaniment")
                    }
                    separate_file(engine, source, outputs, limits=limits)

                cpu, started = time.process_time(), time.perf_counter()
                with ThreadPoolExecutor(count) as pool:
                    list(pool.map(separate, range(count)))
                took, used = time.perf_counter() - started, time.process_time() - cpu
                label = f"{count} at a time to {codec}"
                figures[f"speed_{count}_{codec}"] = (label, "times real time", [count * seconds / took])
                segments = count * seconds / SEGMENT_S
                figures[f"host_{count}_{codec}"] = (
                    f"{label}, host",
                    "ms of processor a segment",
                    [used * 1000 / segments],
                )
    return {"figures": figures}


def host(device: str) -> Result:
    """Measure what is left for the host where the networks take no time, the decoding process included."""
    del device
    limits = MediaLimits(max_duration_s=3600, max_bytes=1 << 32)
    figures = {}
    with song(HOST_S) as source:
        for stems in (2, 4):
            engine = Even(stems)
            for codec, kbps in (("wav", None), ("flac", None), ("mp3", 192), ("aac", 192)):
                outputs = {
                    name: OutputSpec(source.with_name(f"{name}.{codec}"), codec, bitrate_kbps=kbps)
                    for name in engine.network.instruments
                }
                separate_file(engine, source, outputs, limits=limits)  # what is loaded once is not counted
                began = _processor_s()
                separate_file(engine, source, outputs, limits=limits)
                used_ms = (_processor_s() - began) * 1000
                figures[f"host_{stems}_{codec}"] = (
                    f"{stems} stems to {codec}" + (f", {kbps} kbit/s" if kbps else ""),
                    "ms of processor a segment",
                    [used_ms * SEGMENT_S / HOST_S],
                )
    return {"figures": figures}


def _processor_s() -> float:
    """Return the processor time of this process and those that it has waited for, s."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)

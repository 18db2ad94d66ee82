"""What whole songs cost: on a device, and on the host alone, where the networks take no time."""

# ruff: noqa: PLC0415 - each step loads only what it uses

from __future__ import annotations

import json
import math
import os
import resource
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.memory import Even
from stemline.separation.cuda import LARGEST_BATCH
from stemline.separation.decoder import Audio, Decoder
from stemline.separation.engine import LoadedEngine
from stemline.separation.heap import keep_heap
from stemline.separation.media import MediaLimits, OutputSpec
from stemline.separation.media.decode import open_audio
from stemline.separation.media.encode import StemWriter
from stemline.separation.network import Network
from stemline.separation.onnx_engine import OnnxEngine
from stemline.separation.pipeline import separate_file

if TYPE_CHECKING:
    from tests.support.cuda import Sessions

Result = dict[str, Any]
SEGMENT_S: Final = 512 * 1024 / 44_100
"""Seconds of audio of one segment."""
HOST_S = 120.0
"""Seconds of audio of the song that the host alone is measured with."""
SONG_S = 180.0
"""Seconds of audio of each song that keeps a card busy."""
SLACKS = (4.0, 2.0)
"""By how much the host of such a card is faster than it."""
SONGS: Final = 16
"""Songs that are separated at a time to keep a card busy."""


def so_far(result: Result) -> None:
    """Print what a step has found so far, which stays if it is not done in time."""
    print(json.dumps(result), flush=True)


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
    """Separate one and sixteen songs at a time with one engine, to each codec.

    On a card with the transforms there, and to flac with those of the host too.
    """
    seconds, counts = (240.0, (SONGS, 1)) if device == "cuda" else (30.0, (2, 1))
    figures: dict[str, Any] = {}
    with song(seconds) as source:
        for count in counts:
            run = partial(_songs, device, source, figures, seconds=seconds, count=count)
            run(transform="device", codecs=("flac", "wav", "mp3", "aac"))
            if device == "cuda":
                run(transform="host", codecs=("flac",))
    return {"figures": figures}


def _songs(
    device: str,
    source: Path,
    figures: dict[str, Any],
    *,
    seconds: float,
    count: int,
    transform: str,
    codecs: tuple[str, ...],
) -> None:
    """Separate so many songs at a time, to each codec, and add the figures."""
    from stemline.models.loading import load_engine

    engine = load_engine("2stems", device=device, songs=count, batch_wait_s=0.005, transform=transform)
    where = getattr(engine, "transform", "host")
    for codec in codecs:
        cpu, started = _processor_s(), time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            jobs = [pool.submit(_separate, engine, source, codec, None, number) for number in range(count)]
            for job in jobs:
                job.result()
        took, used = time.perf_counter() - started, _processor_s() - cpu
        label = f"{count} at a time to {codec}, transformed on the {where}"
        key = f"{count}_{codec}" + ("_host" if transform == "host" else "")
        figures[f"speed_{key}"] = (label, "times real time", [count * seconds / took])
        segments = count * seconds / SEGMENT_S
        unit = "ms of processor a segment"
        figures[f"host_{key}"] = (f"{label}, host", unit, [used * 1000 / segments])
        so_far({"figures": figures})


def host(device: str) -> Result:
    """Measure what is left for the host where the networks take no time.

    Once with the transforms on the host, once with a stand-in for a card that goes from samples to stems.
    """
    del device
    keep_heap()
    figures: dict[str, Any] = {}
    unit = "ms of processor a segment"
    with song(min(SEGMENT_S, HOST_S)) as short, song(HOST_S) as source:
        for stems in (2, 4):
            for codec, kbps in ((None, None), ("wav", None), ("flac", None), ("mp3", 192), ("aac", 192)):
                words = f"{stems} stems" + (f" to {codec}" if codec else ", nothing measured or written")
                words += f", {kbps} kbit/s" if kbps else ""
                run = partial(_host_ms, short=short, source=source, codec=codec, kbps=kbps)
                with _stand_in(stems) as (engine, card):
                    found = [(run(Even(stems), None), run(engine, card)) for _ in range(1 if kbps else 3)]
                for place, values in zip(("host", "device"), zip(*found, strict=True), strict=True):
                    where = "; samples transformed on the device" if place == "device" else ""
                    figures[f"{place}_{stems}_{codec or 'nothing'}"] = (words + where, unit, values)
                so_far({"figures": figures})
        for place, taken in _decoding_ms(source).items():
            figures[f"decoding_{place}"] = (f"decoding a wav, in {place} process", unit, taken)
    return {"figures": figures}


def _decoding_ms(source: Path) -> dict[str, list[float]]:
    """Return the processor time of a segment's decoding, ms: here, and in its own process, as workers do."""
    limits = MediaLimits(max_duration_s=3600, max_bytes=1 << 32)
    decoder, found = Decoder(), {"this": list[float](), "another": list[float]()}
    opened: dict[str, Callable[[], Audio]] = {
        "this": partial(open_audio, source, limits=limits),
        "another": partial(decoder.open, source, limits=limits),
    }
    try:
        decoder.open(source, limits=limits).close()  # the server is started once
        for place in list(found) * 3:
            began = _processor_s() + _running_s()
            with opened[place]() as audio:
                for _ in audio:
                    pass
            found[place].append((_processor_s() + _running_s() - began) * 1000 * SEGMENT_S / HOST_S)
    finally:
        decoder.close()
    return found


def _running_s() -> float:
    """Return the processor time of what this thread has started, and of what that has waited for, s."""
    used = 0
    for child in Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split():
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        used += sum(map(int, fields[11:15]))
    return used / os.sysconf("SC_CLK_TCK")


def busy(device: str) -> Result:
    """Measure how much of a card's time sixteen songs use, where the host can keep up.

    The cards are stand-ins, which take several times as long for a batch as the cores of this host need.
    """
    del device
    keep_heap()
    figures: dict[str, Any] = {}
    with (
        song(min(SEGMENT_S, HOST_S)) as short,
        song(HOST_S) as source,
        song(SONG_S) as long,
        _stand_in(2, songs=SONGS) as (engine, card),
    ):
        host_ms = _host_ms(engine, card, short=short, source=source, codec="wav", kbps=None)
        for slack in SLACKS:
            card.seconds = slack * LARGEST_BATCH * host_ms / 1000 / len(os.sched_getaffinity(0))
            used, filled = _used(engine, card, long)
            words = f"a card that takes {slack:g} times as long as its host"
            figures |= {
                f"used_{slack:g}": (f"{words}: time that {SONGS} songs use", "%", [100 * used]),
                f"filled_{slack:g}": (f"{words}: segments in a batch, of its size", "%", [100 * filled]),
                f"batch_{slack:g}": (f"{words}: a batch of 16", "ms", [card.seconds * 1000]),
            }
            so_far({"figures": figures})
    return {"figures": figures}


def _used(engine: OnnxEngine, card: Sessions, source: Path) -> tuple[float, float]:
    """Return the share of a card's time that songs use, and that of its batches, each from 0 to 1."""
    card.busy.clear()
    for seen in card.shapes:
        seen.clear()
    with ThreadPoolExecutor(SONGS) as pool:
        jobs = [pool.submit(_separate, engine, source, "wav", None, number) for number in range(SONGS)]
        for job in jobs:
            job.result()
    elapsed = card.busy[-1][1] - card.busy[0][0]
    segments = SONGS * math.ceil(SONG_S / SEGMENT_S)
    return (
        sum(end - start for start, end in card.busy) / elapsed,
        segments / sum(shape[0] for seen in card.shapes for shape in seen),
    )


@contextmanager
def _stand_in(stems: int, songs: int = 1) -> Iterator[tuple[OnnxEngine, Sessions]]:
    """Load an engine on a stand-in for a card that takes no time."""
    from tests.support.cuda import Sessions, replacements

    sessions = Sessions(stems)
    network = Network("stand-in", tuple(f"stem{number}" for number in range(stems)))
    with ExitStack() as replaced, patch.dict(os.environ):
        for owner, name, part in replacements(sessions):
            replaced.enter_context(patch.object(owner, name, part, create=True))
        yield (
            OnnxEngine(
                network,
                lambda *, polyphase: b"masks",  # noqa: ARG005
                samples_graph=lambda: b"samples",
                device="cuda",
                songs=songs,
                batch_wait_s=0.005,
            ),
            sessions,
        )


class _Unwritten(StemWriter):
    """Takes a stem, and neither measures nor writes it."""

    def write(self, block: NDArray[np.float32]) -> None:
        """Count the samples; a file has to have some."""
        if not self._frames:
            super().write(block[:1024])
        self._frames += len(block)


def _separate(
    engine: LoadedEngine, source: Path, codec: str | None, kbps: int | None, number: int = 0
) -> None:
    """Separate a song into all stems of an engine."""
    suffix = codec or "wav"
    outputs = {
        name: OutputSpec(source.with_name(f"{number}-{name}.{suffix}"), suffix, bitrate_kbps=kbps)
        for name in engine.network.instruments
    }
    writer = StemWriter if codec else _Unwritten
    with patch("stemline.separation.pipeline.StemWriter", writer):
        separate_file(engine, source, outputs, limits=MediaLimits(max_duration_s=3600, max_bytes=1 << 32))


def _host_ms(
    engine: LoadedEngine,
    card: Sessions | None,
    *,
    short: Path,
    source: Path,
    codec: str | None,
    kbps: int | None,
) -> float:
    """Return the processor time of a segment, ms, less that of the stand-in for a card."""
    _separate(engine, short, codec, kbps)  # what is loaded once is not counted
    stand_in = card.cost_s if card else 0.0
    began = _processor_s()
    _separate(engine, source, codec, kbps)
    used = _processor_s() - began - ((card.cost_s if card else 0.0) - stand_in)
    return used * 1000 * SEGMENT_S / HOST_S


def _processor_s() -> float:
    """Return the processor time of this process and those that it has waited for, s."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)

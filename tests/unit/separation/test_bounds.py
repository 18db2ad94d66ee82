"""Every queue of a separation has a bound: whoever is slow stops all those before it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from stemline.separation import pipeline
from stemline.separation.errors import Cancelled
from stemline.separation.media import MediaLimits, OutputSpec
from stemline.separation.media.codecs import Encoding
from stemline.separation.network import HOP, SEGMENT_FRAMES, Network
from stemline.separation.pipeline import separate_file
from stemline.separation.separator import Separator

BLOCK = 65_536
"""Samples of a decoded block."""
WINDOW = SEGMENT_FRAMES * HOP
ENDLESS = 2_000
"""Blocks of a source that nobody could hold: 50 minutes."""
STEMS = ("one", "two")


class StubEngine:
    """Shares everything evenly, as soon as it may."""

    network = Network("stub", STEMS)
    device = "stub"
    any_length = True
    in_flight = 2

    def __init__(self) -> None:
        self.may_run = threading.Event()
        self.runs = 0

    def masks(self, magnitude: np.ndarray, *, alone: bool = False, level: int = 0) -> list[np.ndarray]:
        self.runs += 1
        assert self.may_run.wait(120)
        return [np.full_like(magnitude, 0.5)] * len(STEMS)


class Source:
    """An audio source that counts what is taken of it."""

    source: Any = None
    duration_s = None

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.taken = 0
        self.ended = False
        self._block = np.zeros((BLOCK, 2), np.float32)

    def __iter__(self) -> Iterator[np.ndarray]:
        while self.taken < ENDLESS and not self.ended:
            self.taken += 1
            yield self._block

    def interrupt(self) -> None:
        self.ended = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True


class Writer:
    """A stem's writer, which waits at its first piece."""

    encoding = Encoding("wav", 44_100, 0, 2)

    def __init__(self, may_write: threading.Event) -> None:
        self._may_write = may_write
        self.written = 0

    def write(self, piece: np.ndarray) -> None:
        assert self._may_write.wait(120)
        self.written += len(piece)

    def close(self) -> None:
        raise AssertionError("the separation was to be cancelled")

    def abort(self) -> None:
        pass


class Bench:
    """A separation in a thread, whose engine and writers wait until they may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine, self.source, self.may_write = StubEngine(), Source(), threading.Event()
        self.writers: list[Writer] = []
        self.cancelled = threading.Event()
        self.errors: list[BaseException] = []
        monkeypatch.setattr(pipeline, "_open", lambda *_, **__: self.source)
        monkeypatch.setattr(pipeline, "StemWriter", self._writer)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _writer(self, *_: Any, **__: Any) -> Writer:
        self.writers.append(Writer(self.may_write))
        return self.writers[-1]

    def _run(self) -> None:
        outputs = {name: OutputSpec(Path(name), "wav") for name in STEMS}
        limits = MediaLimits(1e9, 1 << 60)
        try:
            separate_file(self.engine, Path("song"), outputs, limits=limits, cancelled=self.cancelled.is_set)
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.errors.append(error)

    def blocks_taken(self, *, after_runs: int) -> int:
        """How many blocks are taken when nothing moves any more, after so many runs of the engine."""
        deadline, before, still = time.monotonic() + 120, -1, 0
        while still < 10 or self.engine.runs < after_runs:
            still = still + 1 if self.source.taken == before else 0
            before = self.source.taken
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return before

    def end(self) -> None:
        self.cancelled.set()
        self.engine.may_run.set()
        self.may_write.set()
        self.thread.join(120)
        assert [Cancelled] == [type(error) for error in self.errors]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(monkeypatch)
    bench.thread.start()
    yield bench
    bench.end()


def in_blocks(windows: int) -> int:
    return -(-windows * WINDOW // BLOCK)


def test_a_slow_engine_stops_the_decoder(bench: Bench) -> None:
    """While no segment is done, the decoder is a few segments ahead: those in flight, and eight blocks."""
    taken = bench.blocks_taken(after_runs=bench.engine.in_flight)
    assert in_blocks(bench.engine.in_flight) <= taken <= in_blocks(bench.engine.in_flight + 2) + 10
    assert bench.engine.runs == bench.engine.in_flight


def test_a_slow_encoder_stops_the_engine_and_the_decoder(bench: Bench) -> None:
    """While no piece is written, the networks are a few pieces ahead: those queued, and those in flight."""
    bench.engine.may_run.set()
    taken = bench.blocks_taken(after_runs=4)
    assert bench.engine.runs <= 2 + bench.engine.in_flight + 2
    assert taken <= in_blocks(bench.engine.runs + 2) + 10


def test_a_slow_reader_stops_the_engine() -> None:
    """Whoever reads a separation piece by piece sets the pace of the networks."""
    engine, source = StubEngine(), Source()
    engine.may_run.set()
    with Separator(engine) as separator:
        pieces = separator.separate(source)
        next(pieces)
        runs = engine.runs
        pieces.close()
    assert runs <= engine.in_flight + 1
    assert source.taken <= in_blocks(engine.in_flight + 2)


def test_pieces_are_short_and_hold_no_segment() -> None:
    """Whoever keeps a piece keeps a second and a half of the stem, not the segment that it was cut from."""
    engine, source = StubEngine(), Source()
    engine.may_run.set()
    with Separator(engine) as separator:
        pieces = separator.separate(source)
        stems = [stem for _ in range(20) for stem in next(pieces).values()]
        pieces.close()
    assert len(stems) == 40
    assert max(len(stem) for stem in stems) == 65_536
    assert all(stem.base is None or stem.base.size == stem.size for stem in stems)

"""Separates a stream of samples of any length in constant memory."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from stemline.separation import stft, wiener
from stemline.separation.engine import Engine
from stemline.separation.errors import OptionError
from stemline.separation.extension import Extension
from stemline.separation.moments import Moments
from stemline.separation.network import HOP
from stemline.separation.stft import TAIL, Samples
from stemline.separation.windows import Block, Window, split


@dataclass(slots=True)
class StageTimer:
    """Adds up the seconds of work of each stage over all threads."""

    seconds: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, stage: str, since: float) -> float:
        """Add the time since `since` (of `time.perf_counter`) to `stage`; return the time now."""
        now = time.perf_counter()
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now - since
        return now


class Separator:
    """Runs an engine on streams, one after another or several at once.

    Args:
        engine: The loaded model.
        extension: What happens above 11 kHz.
        context: Frames that a window sees on both sides of the part that is kept; 0 is exactly Spleeter.
        refine: Whether a multichannel Wiener filter follows the networks; without it, exactly Spleeter.
        level: Where an engine has to choose, segments of a higher level go first.

    Raises:
        OptionError: The engine cannot run windows with context.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        extension: Extension = Extension.AVERAGE,
        context: int = 0,
        refine: bool = False,
        level: int = 0,
    ) -> None:
        if context and not engine.any_length:
            raise OptionError("This engine cannot run windows with context.")
        self.engine = engine
        self.extension = Extension(extension)
        self.context = context
        self.refine = refine
        self.level = level
        self._pool = ThreadPoolExecutor(engine.in_flight, thread_name_prefix="separate")

    @property
    def needs_moments(self) -> bool:
        """Return False: the networks see the mix as it is."""
        return False

    def close(self) -> None:
        """End the threads; running windows are finished first."""
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def separate(
        self,
        blocks: Iterable[Block],
        *,
        instruments: Sequence[str] | None = None,
        timer: StageTimer | None = None,
        moments: Moments | None = None,  # noqa: ARG002  # Spleeter's networks see the mix as it is
    ) -> Generator[Mapping[str, Block]]:
        """Separate a stream, piece by piece.

        Args:
            blocks: (samples, 2) float32 at 44,100 Hz, of any sizes.
            instruments: The stems to make; by default all that the networks have.
            timer: Adds up the time of each stage.
            moments: Not used.

        Yields:
            The next samples of every stem, (samples, 2); in all as many as the stream has.

        Raises:
            EmptyAudio: The stream holds no samples.
            NonFiniteAudio: A sample is infinite or not a number.
            OptionError: The networks have no such instrument.
        """
        plan = self._plan(instruments)
        timer = timer or StageTimer()
        tails: list[Samples] = []
        waiting: deque[tuple[Window, Future[list[Samples]]]] = deque()
        try:
            for window in split(blocks, context=self.context):
                waiting.append((window, self._pool.submit(self._run, window, plan.inverted, timer)))
                if len(waiting) > self.engine.in_flight:
                    yield self._finish(plan, tails, waiting)
            while waiting:
                yield self._finish(plan, tails, waiting)
        finally:
            for _, future in waiting:
                future.cancel()

    def _plan(self, instruments: Sequence[str] | None) -> _Plan:
        known = self.engine.network.instruments
        wanted = tuple(known if instruments is None else instruments)
        if unknown := [name for name in wanted if name not in known]:
            raise OptionError(f"The model {self.engine.network.name} has no stem {', '.join(unknown)}.")
        # Unless something is silenced, the shares of a bin add up to one: the last stem is the mix less the
        # others, which saves its inverse transform and makes the sum exact.
        rest = known[-1] if self.extension is not Extension.ZEROS and set(wanted) == set(known) else None
        inverted = tuple((name, known.index(name)) for name in wanted if name != rest)
        return _Plan(inverted, rest)

    def _run(self, window: Window, inverted: Sequence[tuple[str, int]], timer: StageTimer) -> list[Samples]:
        """Transform, infer and invert one window; runs in a thread of the pool."""
        clock = time.perf_counter()
        spectrum = stft.forward(window.samples)
        magnitude = stft.magnitude(spectrum)
        clock = timer.add("transform", clock)
        masks = self.engine.masks(magnitude, alone=window.only, level=self.level)
        clock = timer.add("infer", clock)
        kept = spectrum[:, window.keep]
        shares = [mask[:, window.keep] for mask in masks]
        wanted = [index for _, index in inverted]
        if self.refine:
            refined = wiener.refine(kept, shares, wanted, self.extension)
            clock = timer.add("refine", clock)
            samples = [stft.inverse(each) for each in refined]
        else:
            samples = [
                stft.inverse(kept, shares[index], self.extension.share(shares[index])) for index in wanted
            ]
        timer.add("invert", clock)
        return samples

    def _finish(
        self, plan: _Plan, tails: list[Samples], waiting: deque[tuple[Window, Future[list[Samples]]]]
    ) -> Mapping[str, Block]:
        """Wait for the oldest window, add the overlap of the one before, and return its final samples."""
        window, future = waiting[0]
        pieces = future.result()
        waiting.popleft()
        for piece, tail in zip(pieces, tails, strict=False):
            piece[:, :TAIL] += tail
        tails[:] = [piece[:, -TAIL:] for piece in pieces]
        final = slice(window.skip, window.skip + window.length)
        stems = {name: piece[:, final] for (name, _), piece in zip(plan.inverted, pieces, strict=True)}
        if plan.rest is not None:
            start = window.keep.start * HOP
            remainder = window.samples[:, start + final.start : start + final.stop].copy()
            for stem in stems.values():
                remainder -= stem
            stems[plan.rest] = remainder
        return {name: np.ascontiguousarray(stem.T) for name, stem in stems.items()}


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which instruments are inverted (name and number), and which is the mix less the others."""

    inverted: tuple[tuple[str, int], ...]
    rest: str | None

"""Separates a stream of samples of any length in constant memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from stemline.separation import stft, wiener
from stemline.separation.engine import Engine, TransformingEngine
from stemline.separation.errors import OptionError
from stemline.separation.extension import Extension
from stemline.separation.moments import Moments
from stemline.separation.network import FRAME_BINS, HOP, NETWORK_BINS
from stemline.separation.network_output import check_output
from stemline.separation.stft import TAIL, Samples, span
from stemline.separation.stream_separator import OrderedThreads, StageTimer, StreamSeparator
from stemline.separation.windows import Block, Window, split

#: Samples of a stem that are given at a time: what encodes and measures them holds copies of a few.
_PIECE = 64 * HOP


class Separator(StreamSeparator):
    """Runs Spleeter's networks on streams, one after another or several at once.

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
        self.engine: Engine = engine
        self.extension = Extension(extension)
        self.context = context
        self.refine = refine
        self.level = level
        self._threads = OrderedThreads(engine.in_flight)
        #: The engine, where it transforms too. Its graph has no context, and no filter behind the networks.
        self._transforming = (
            engine
            if isinstance(engine, TransformingEngine)
            and engine.transform == "device"
            and not (context or refine)
            else None
        )

    def adds_up(self, stems: Iterable[str]) -> bool:
        """Return whether these stems add up to the mix: where nothing is silenced above 11 kHz."""
        return self.extension is not Extension.ZEROS and super().adds_up(stems)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return all stems where something is silenced, which they leave of the mix."""
        return self.engine.network.instruments if self.extension is Extension.ZEROS else ()

    def close(self) -> None:
        """End the threads; running windows are finished first."""
        self._threads.close()

    def separate(
        self,
        blocks: Iterable[Block],
        *,
        instruments: Sequence[str] | None = None,
        timer: StageTimer | None = None,
        moments: Mapping[int, Moments] | None = None,  # noqa: ARG002  # the networks see the mix as it is
        cancelled: Callable[[], bool] | None = None,
    ) -> Generator[Mapping[str, Block]]:
        """Separate a stream, piece by piece; see `StreamSeparator.separate`."""
        plan = self._plan(instruments)
        tails: list[Samples] = []
        run = partial(self._run, inverted=plan.inverted, timer=timer or StageTimer())
        windows = split(blocks, context=self.context)
        with closing(self._threads.results(run, windows, cancelled=cancelled)) as results:
            for window, pieces in results:
                yield from _finish(plan, tails, window, pieces)
                del window, pieces  # before the next ones are waited for

    def _plan(self, instruments: Sequence[str] | None) -> _Plan:
        known = self.engine.network.instruments
        wanted = self._wanted(instruments)
        # Unless something is silenced, the shares of a bin add up to one: the last stem is the mix less the
        # others, which saves its inverse transform and makes the sum exact.
        rest = known[-1] if self.extension is not Extension.ZEROS and set(wanted) == set(known) else None
        inverted = tuple((name, known.index(name)) for name in wanted if name != rest)
        return _Plan(inverted, rest, "C" if self._transforming is None else "F")

    def _run(self, window: Window, inverted: Sequence[tuple[str, int]], timer: StageTimer) -> list[Samples]:
        """Transform, infer and invert one window; runs in a thread of the pool."""
        clock = time.perf_counter()
        if self._transforming is not None:
            names = [name for name, _ in inverted]
            stems = self._transforming.stems(
                window.samples(order="F"), names, self.extension, alone=window.only, level=self.level
            )
            check_output(self.engine, stems)
            timer.add("infer", clock)
            return [stem[:, : span(window.keep.stop)] for stem in stems]
        spectrum = stft.forward(window.samples(), FRAME_BINS if self.refine else NETWORK_BINS)
        magnitude = stft.magnitude(spectrum)
        clock = timer.add("transform", clock)
        masks = self.engine.masks(magnitude, alone=window.only, level=self.level)
        del magnitude
        check_output(self.engine, masks)
        clock = timer.add("infer", clock)
        kept = spectrum[:, window.keep]
        wanted = [index for _, index in inverted]
        if self.refine:
            shares = [mask[:, window.keep] for mask in masks]
            refined = wiener.refine(kept, shares, wanted, self.extension)
            clock = timer.add("refine", clock)
            samples = [stft.inverse(each) for each in refined]
        else:
            shares = [masks[index][:, window.keep] for index in wanted]
            del masks  # the others are needed no more
            start = window.keep.start * HOP
            mix = window.samples(start, start + span(kept.shape[1]))
            samples = [stft.share(mix, kept, share, self.extension.share(share)) for share in shares]
        timer.add("invert", clock)
        return samples


def _finish(
    plan: _Plan, tails: list[Samples], window: Window, pieces: list[Samples]
) -> Iterator[Mapping[str, Block]]:
    """Add the overlap of the window before, and yield the final samples in short pieces."""
    for piece, tail in zip(pieces, tails, strict=False):
        piece[:, :TAIL] += tail
    tails[:] = [piece[:, -TAIL:].copy() for piece in pieces]
    stop = window.skip + window.length
    for start in range(window.skip, stop, _PIECE):
        part = slice(start, min(start + _PIECE, stop))
        stems = {name: piece[:, part] for (name, _), piece in zip(plan.inverted, pieces, strict=True)}
        if plan.rest is not None:
            before = window.keep.start * HOP
            remainder = window.samples(before + part.start, before + part.stop, order=plan.order)
            for stem in stems.values():
                remainder -= stem
            stems[plan.rest] = remainder
        yield {name: np.ascontiguousarray(stem.T) for name, stem in stems.items()}


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which instruments are inverted (name and number), and which is the mix less the others.

    Attributes:
        order: Of the stems in memory; see `Window.samples`.
    """

    inverted: tuple[tuple[str, int], ...]
    rest: str | None
    order: Literal["C", "F"]
